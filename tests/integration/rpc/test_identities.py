"""Each call about identities, from the client over a real socket to what lies behind it."""

from collections.abc import Awaitable, Callable

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import InvalidInput, NotAllowed, NotFound
from tests.support.fakes.identities import ANN, OWN, REVOKED, REVOKED_OWN
from tests.support.fakes.node import FakeNode


async def test_revoking_tells_what_is_hidden(client: DaemonClient, node: FakeNode) -> None:
    assert await client.revoke_identity(ANN, 1_700_000_000_000) == REVOKED
    assert await client.revoke_identity(OWN, 0, own_too=True) == REVOKED_OWN
    assert node.revocations.calls == [
        ("revoke", ANN, 1_700_000_000_000, False),
        ("revoke", OWN, 0, True),
    ]


async def test_ones_own_identity_is_refused_in_the_daemons_words(client: DaemonClient) -> None:
    with pytest.raises(NotAllowed, match="is this machine's own identity; if you mean it"):
        await client.revoke_identity(OWN, 0)


async def test_restoring_tells_what_is_shown_again(client: DaemonClient, node: FakeNode) -> None:
    assert await client.restore_identity(ANN) == REVOKED
    with pytest.raises(NotFound, match="is not revoked here"):
        await client.restore_identity("gpg:nobody")
    assert node.revocations.calls == [("restore", ANN), ("restore", "gpg:nobody")]


async def test_the_list_has_all_that_are_revoked(client: DaemonClient) -> None:
    assert await client.revoked_identities() == (REVOKED_OWN, REVOKED)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.revoke_identity("\ud800", 0),
        lambda client: client.revoke_identity(ANN, -1),
        lambda client: client.restore_identity("\ud800"),
    ],
)
async def test_an_argument_that_can_t_be_sent_never_arrives(
    client: DaemonClient, node: FakeNode, call: Callable[[DaemonClient], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidInput):
        await call(client)
    assert node.revocations.calls == []
