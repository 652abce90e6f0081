import pytest

from buddies_core.model.identity import GpgIdentity, SshIdentity
from buddies_core.model.ids import RoomName
from buddies_core.model.policy import Policy, PolicyView

ANN, BEN = SshIdentity("ssh-ed25519 AAAA"), GpgIdentity("AB" * 20)


@pytest.mark.parametrize(
    ("policy", "let_in"),
    [
        (Policy(), {ANN, BEN, None}),
        (Policy(require_signed=True), {ANN, BEN}),
        (Policy((ANN,)), {ANN}),
        (Policy((ANN,), require_signed=True), {ANN}),
        (Policy((ANN, BEN)), {ANN, BEN}),
    ],
)
def test_a_policy_lets_in_whom_it_names_and_the_unsigned_only_if_it_is_open(
    policy: Policy, let_in: set[object]
) -> None:
    assert {signer for signer in (ANN, BEN, None) if policy.allows(signer)} == let_in
    assert policy.is_open == (None in let_in)


def test_an_identity_is_listed_once_and_goes_wholly() -> None:
    policy = Policy().with_identity(ANN).with_identity(BEN).with_identity(ANN)
    assert policy == Policy((ANN, BEN))
    assert policy.without_identity(ANN) == Policy((BEN,))
    assert policy.without_identity(ANN).without_identity(BEN).is_open


@pytest.mark.parametrize(
    ("identities", "require_signed", "meaning"),
    [
        ((), False, "There is no policy: everybody who knows the room's name is heard."),
        ((), True, "Whatever a person's key vouches for is heard, whoever's key it is."),
        (("a",), False, "Only what the one identity on the whitelist signs is heard."),
        (("a", "b"), True, "Only what the 2 identities on the whitelist sign is heard."),
    ],
)
def test_a_policy_says_in_words_whom_it_lets_in(
    identities: tuple[str, ...], require_signed: bool, meaning: str
) -> None:
    view = PolicyView(
        room=RoomName("demo"),
        require_signed=require_signed,
        identities=identities,
        local_identity="",
    )
    assert view.meaning == meaning


def test_in_a_private_room_to_know_the_name_is_not_enough() -> None:
    view = PolicyView(
        room=RoomName("demo"),
        require_signed=False,
        identities=(),
        local_identity="",
        private=True,
    )
    assert view.meaning == "There is no policy: every member of this private room is heard."
