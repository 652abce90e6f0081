import pytest

from buddies_core.model.bodies import AgentPresence, Presence
from buddies_core.model.identity import Binding, GpgIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.model.room import Member
from buddies_core.rooms import presence
from buddies_core.rooms.presence import (
    AGENTS_BYTES_MAX,
    AGENTS_SHOWN_MAX,
    MEMBERS_PER_NEIGHBOR_MAX,
    PRESENCE_LASTS_S,
    Presences,
    fit_presence,
)
from buddies_core.wire.bodies import encode_body

ANN = EndpointId(b"a" * 32)
BOB = EndpointId(b"b" * 32)
CLAUDE = AgentPresence(name="claude")


def hear(
    presences: Presences,
    peer: EndpointId = ANN,
    *,
    name: str = "ann",
    sent_at_ms: int = 1,
    now_s: float = 0.0,
    age_s: float = 0.0,
    standing: int = 0,
    told_by: EndpointId | None = None,
) -> bool:
    return presences.heard(
        peer,
        Presence(name, (CLAUDE,)),
        sent_at_ms=sent_at_ms,
        proof=b"proof of " + name.encode(),
        address=None,
        now_s=now_s,
        wall_ms=5_000,
        age_s=age_s,
        standing=standing,
        told_by=told_by,
    )


def test_a_peer_is_present_once_heard() -> None:
    presences = Presences()
    assert hear(presences)
    assert presences.members() == (
        Member(endpoint=ANN, name="ann", agents=(CLAUDE,), heard_at_ms=5_000),
    )


def test_a_name_is_shown_only_as_long_as_a_name_may_be() -> None:
    presences = Presences()
    hear(presences, name="n" * 4000)
    assert [member.name for member in presences.members()] == ["n" * 64]


def test_an_older_presence_changes_nothing() -> None:
    presences = Presences()
    hear(presences, sent_at_ms=10)
    assert not hear(presences, name="mallory", sent_at_ms=9)
    assert not hear(presences, name="mallory", sent_at_ms=10)
    assert presences.name_of(ANN) == "ann"


def test_a_peer_is_gone_after_three_lost_presences() -> None:
    presences = Presences()
    hear(presences)
    assert presences.expire(PRESENCE_LASTS_S - 0.1) == ()
    assert presences.expire(PRESENCE_LASTS_S) == (ANN,)
    assert presences.members() == ()


def test_a_copy_lasts_only_as_long_as_the_original_would() -> None:
    presences = Presences()
    assert not hear(presences, age_s=PRESENCE_LASTS_S)
    assert hear(presences, age_s=PRESENCE_LASTS_S - 1)
    assert presences.copies(now_s=0.5, count=9) == ((b"proof of ann", PRESENCE_LASTS_S - 0.5),)
    assert presences.expire(1.0) == (ANN,)


def test_a_leave_is_immediate_and_an_older_presence_does_not_undo_it() -> None:
    presences = Presences()
    hear(presences, sent_at_ms=10)
    assert not presences.left(ANN, sent_at_ms=10)
    assert presences.left(ANN, sent_at_ms=11)
    assert not hear(presences, sent_at_ms=11)
    assert hear(presences, sent_at_ms=12)


def test_a_leave_that_comes_first_holds_against_an_older_presence() -> None:
    presences = Presences()
    assert not presences.left(ANN, sent_at_ms=11)
    assert not hear(presences, sent_at_ms=10)


def test_a_full_room_lists_the_members_of_the_highest_standing_and_of_those_the_latest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence, "MEMBERS_MAX", 2)
    presences = Presences()
    assert hear(presences, ANN, standing=2)
    for number in range(5):
        made_up = EndpointId(bytes([number]) * 32)
        assert hear(presences, made_up, name="ghost")
        assert set(presences.present()) == {ANN, made_up}
    assert hear(presences, BOB, standing=2)
    assert not hear(presences, EndpointId(bytes(32)), name="ghost")
    assert set(presences.present()) == {ANN, BOB}
    presences.expire(PRESENCE_LASTS_S)
    assert hear(presences, EndpointId(bytes(32)), now_s=PRESENCE_LASTS_S)


def test_one_neighbor_brings_in_so_many_and_pushes_out_those_it_brought_in_before() -> None:
    presences = Presences()
    mallory = EndpointId(b"m" * 32)
    assert hear(presences, ANN, told_by=BOB)
    for number in range(4200):
        hear(presences, EndpointId(number.to_bytes(32, "big")), name="ghost", told_by=mallory)
    assert len(presences.present()) == 1 + MEMBERS_PER_NEIGHBOR_MAX
    assert presences.has(ANN)


def test_those_of_the_highest_standing_are_told_first_and_of_those_the_ones_heard_last() -> None:
    presences = Presences()
    for name, standing, age_s in (("old", 4, 60.0), ("ghost", 0, 0.0), ("older", 4, 70.0)):
        hear(
            presences,
            EndpointId(name.encode().ljust(32)),
            name=name,
            standing=standing,
            age_s=age_s,
        )
    assert presences.copies(now_s=0.0, count=2) == (
        (b"proof of old", 60.0),
        (b"proof of older", 70.0),
    )


def test_one_member_shows_a_bounded_number_of_agents() -> None:
    presences = Presences()
    hear(presences)
    for number in range(2 * AGENTS_SHOWN_MAX):
        presences.status(ANN, f"agent-{number}", "busy", sent_at_ms=20)
    [member] = presences.members()
    assert len(member.agents) == AGENTS_SHOWN_MAX


def test_two_peers_of_one_name_are_two_members() -> None:
    presences = Presences()
    hear(presences, ANN, name="sam")
    hear(presences, BOB, name="sam")
    assert [member.endpoint for member in presences.members()] == [ANN, BOB]


def test_the_newest_status_of_an_agent_is_shown() -> None:
    presences = Presences()
    hear(presences)
    presences.status(ANN, "claude", "testing", sent_at_ms=20)
    presences.status(ANN, "claude", "an older one", sent_at_ms=19)
    presences.status(BOB, "codex", "of somebody absent", sent_at_ms=20)
    [member] = presences.members()
    assert member.agents == (AgentPresence(name="claude", status="testing", status_at_ms=20),)


def test_a_presence_of_many_busy_agents_still_fits_a_broadcast() -> None:
    agents = tuple(AgentPresence(name=f"agent-{number}", status="é" * 500) for number in range(200))
    fitted = fit_presence(Presence("ann", agents))
    shown = fitted.agents
    assert shown == tuple(AgentPresence(name=agent.name) for agent in agents[: len(shown)])
    assert AGENTS_BYTES_MAX // 40 < len(shown) < 200


@pytest.mark.parametrize("signature_bytes", [300, 2400])
def test_a_presence_with_a_binding_fits_a_broadcast_too(signature_bytes: int) -> None:
    agents = tuple(AgentPresence(name=f"agent-{number}", status="é" * 500) for number in range(200))
    binding = Binding(GpgIdentity("AB" * 20), 5, bytes(signature_bytes))
    fitted = fit_presence(Presence("ann", agents, binding))
    assert fitted.binding == binding
    assert len(fitted.agents) > 10
    assert len(encode_body(fitted)) < AGENTS_BYTES_MAX + 100


def test_a_presence_that_fits_keeps_its_statuses() -> None:
    said = Presence("ann", (AgentPresence(name="claude", status="reviewing the schema"),))
    assert fit_presence(said) == said
