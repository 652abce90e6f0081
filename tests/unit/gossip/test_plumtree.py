"""Each rule by which messages are pushed, announced and repaired, as iroh-gossip 0.101 has it."""

import pytest
from blake3 import blake3

from buddies_core.gossip.commands import (
    Command,
    DeliverContent,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import EXACT, OURS, GossipConfig
from buddies_core.gossip.events import DispatchTimer, EvictTimer, GraftTimer
from buddies_core.gossip.messages import (
    CONTENT_BYTES_MAX,
    Gossip,
    Graft,
    IHave,
    Message,
    Neighbor,
    NeighborsScope,
    Priority,
    Prune,
    SwarmScope,
)
from buddies_core.gossip.topic import Topic
from buddies_core.model.ids import EndpointId, MessageId
from tests.unit.gossip.given import MY_DATA, STRANGER, TOPIC, A, B, C, D, topic, without_timers

HI = MessageId(bytes.fromhex("85052e9aab1b67b6622d94a08441b09fd5b7aca61ee360416d70de5da67d86ca"))
OTHER = MessageId(bytes(32))
DISPATCH = ScheduleTimer(TOPIC, 0.005, DispatchTimer())
EVICT = ScheduleTimer(TOPIC, 1.0, EvictTimer())


def hi(round: int) -> Gossip:
    return Gossip(HI, b"hi", SwarmScope(round))


def said(content: bytes, round: int = 0) -> Gossip:
    return Gossip(MessageId(blake3(content).digest()), content, SwarmScope(round))


def send(peer: EndpointId, message: Message) -> SendMessage:
    return SendMessage(TOPIC, peer, message)


def deliver(content: bytes, sender: EndpointId, round: int) -> DeliverContent:
    return DeliverContent(TOPIC, content, sender, SwarmScope(round))


def graft_in(seconds: float) -> ScheduleTimer:
    return ScheduleTimer(TOPIC, seconds, GraftTimer(HI))


def tree(
    *,
    eager: tuple[EndpointId, ...] = (),
    lazy: tuple[EndpointId, ...] = (),
    config: GossipConfig = EXACT,
) -> Topic:
    """Return a topic with these neighbors."""
    it = topic(active=(*eager, *lazy), config=config)
    for peer in lazy:
        it.receive(peer, Prune(), 0.0)
    return it


def split(it: Topic) -> tuple[set[EndpointId], set[EndpointId]]:
    """Return who is eager and who is lazy."""
    return set(it.plumtree.eager), set(it.plumtree.lazy)


def evict_until(it: Topic, seconds: int) -> None:
    """Let the evict timer run out at each second, as long as it is scheduled."""
    for second in range(1, seconds + 1):
        if it.expire(EvictTimer(), float(second)) != [EVICT]:
            return


# Neighbors


def test_a_new_neighbor_is_eager() -> None:
    assert split(tree(eager=(A, B))) == ({A, B}, set())


def test_a_lost_neighbor_is_neither_eager_nor_lazy() -> None:
    it = tree(eager=(A,), lazy=(B,))
    it.peer_disconnected(A, 0.0)
    it.peer_disconnected(B, 0.0)
    assert split(it) == (set(), set())


def test_a_neighbor_that_comes_back_is_eager_again() -> None:
    it = tree(eager=(A,), lazy=(B,))
    it.peer_disconnected(B, 0.0)
    it.receive(B, Neighbor(Priority.HIGH, None), 0.0)
    assert split(it) == ({A, B}, set())


def test_a_stranger_that_was_lazy_is_eager_as_a_neighbor() -> None:
    it = tree(config=EXACT)
    it.receive(A, Prune(), 0.0)
    it.receive(A, Neighbor(Priority.HIGH, None), 0.0)
    assert split(it) == ({A}, set())


# Saying something


def test_a_broadcast_is_pushed_to_the_eager_and_announced_to_the_lazy() -> None:
    it = tree(eager=(A, B), lazy=(C,))
    assert it.broadcast(b"hi", 0.0) == [EVICT, DISPATCH, send(A, hi(0)), send(B, hi(0))]
    assert it.expire(DispatchTimer(), 0.005) == [send(C, IHave(((HI, 0),)))]


def test_a_broadcast_to_neighbors_goes_to_the_eager_only_and_is_not_kept() -> None:
    it = tree(eager=(A,), lazy=(B,))
    message = Gossip(HI, b"hi", NeighborsScope())
    assert it.broadcast(b"hi", 0.0, neighbors_only=True) == [send(A, message)]
    assert it.receive(A, Graft(HI, 0), 0.0) == []
    assert it.receive(A, message, 0.0) == [DeliverContent(TOPIC, b"hi", A, NeighborsScope())]


def test_the_same_content_is_sent_again_if_it_is_said_again() -> None:
    it = tree(eager=(A,))
    it.broadcast(b"hi", 0.0)
    assert it.broadcast(b"hi", 1.0) == [send(A, hi(0))]


def test_a_broadcast_with_no_neighbor_is_lost_in_rust() -> None:
    it = tree(config=EXACT)
    it.broadcast(b"hi", 0.0)
    assert it.receive(A, Neighbor(Priority.HIGH, None), 0.1) == [
        ReportNeighborUp(TOPIC, A),
        send(A, Neighbor(Priority.HIGH, MY_DATA)),
    ]


def test_content_that_no_frame_holds_is_our_own_mistake() -> None:
    tree().broadcast(bytes(CONTENT_BYTES_MAX), 0.0)
    with pytest.raises(AssertionError):
        tree().broadcast(bytes(CONTENT_BYTES_MAX + 1), 0.0)


# Hearing something


def test_a_new_message_is_relayed_with_one_round_more_and_delivered_as_it_came() -> None:
    it = tree(eager=(A, B), lazy=(C, D))
    assert it.receive(A, hi(3), 0.0) == [EVICT, send(B, hi(4)), DISPATCH, deliver(b"hi", A, 3)]
    assert it.expire(DispatchTimer(), 0.005) == [
        send(C, IHave(((HI, 4),))),
        send(D, IHave(((HI, 4),))),
    ]


def test_a_message_is_not_announced_to_the_lazy_neighbor_that_sent_it() -> None:
    it = tree(eager=(A,), lazy=(B, C))
    assert it.receive(B, hi(0), 0.0) == [EVICT, send(A, hi(1)), DISPATCH, deliver(b"hi", B, 0)]
    assert split(it) == ({A}, {B, C})
    assert it.expire(DispatchTimer(), 0.005) == [send(C, IHave(((HI, 1),)))]


@pytest.mark.parametrize(("config", "is_spared"), [(EXACT, False), (OURS, True)])
def test_only_rust_sends_or_announces_a_message_to_whoever_has_announced_it(
    config: GossipConfig, is_spared: bool
) -> None:
    it = tree(eager=(A, B), lazy=(C, D), config=config)
    it.receive(B, IHave(((HI, 1),)), 0.0)
    it.receive(C, IHave(((HI, 1),)), 0.0)
    pushed = [] if is_spared else [send(B, hi(1))]
    assert without_timers(it.receive(A, hi(0), 0.01)) == [*pushed, deliver(b"hi", A, 0)]
    announced = [] if is_spared else [send(C, IHave(((HI, 1),)))]
    assert it.expire(DispatchTimer(), 0.015) == [*announced, send(D, IHave(((HI, 1),)))]


def test_a_message_from_a_stranger_is_taken_like_any_other() -> None:
    it = tree(eager=(A,))
    commands = it.receive(STRANGER, hi(0), 0.0)
    assert without_timers(commands) == [send(A, hi(1)), deliver(b"hi", STRANGER, 0)]
    assert split(it) == ({A}, set())


def test_who_sends_a_message_again_is_pruned_and_lazy() -> None:
    it = tree(eager=(A, B))
    it.receive(A, hi(0), 0.0)
    assert it.receive(B, hi(0), 0.0) == [send(B, Prune())]
    assert split(it) == ({A}, {B})


def test_a_message_for_neighbors_that_was_heard_by_all_before_is_pruned_too() -> None:
    it = tree(eager=(A, B))
    it.receive(A, hi(0), 0.0)
    assert it.receive(B, Gossip(HI, b"hi", NeighborsScope()), 0.0) == [send(B, Prune())]


def test_a_message_for_neighbors_is_delivered_each_time_and_goes_no_further() -> None:
    it = tree(eager=(A, B), lazy=(C,))
    message = Gossip(HI, b"hi", NeighborsScope())
    delivered = [DeliverContent(TOPIC, b"hi", A, NeighborsScope())]
    assert it.receive(A, message, 0.0) == delivered
    assert it.receive(A, message, 0.0) == delivered
    assert it.expire(DispatchTimer(), 0.005) == []


def test_a_message_whose_id_is_not_its_hash_is_ignored_without_penalty() -> None:
    it = tree(eager=(A, B))
    assert it.receive(A, Gossip(OTHER, b"hi", SwarmScope(0)), 0.0) == []
    assert split(it) == ({A, B}, set())


def test_the_round_wraps_at_65536() -> None:
    commands = tree(eager=(A, B)).receive(A, hi(65535), 0.0)
    assert without_timers(commands) == [send(B, hi(0)), deliver(b"hi", A, 65535)]


# Announcements


def test_announcements_of_five_milliseconds_leave_together_in_the_order_of_peers() -> None:
    it = tree(lazy=(C, A, B))
    assert DISPATCH in it.broadcast(b"one", 0.0)
    assert DISPATCH not in it.broadcast(b"two", 0.004)
    ids = IHave(((said(b"one").id, 0), (said(b"two").id, 0)))
    assert it.expire(DispatchTimer(), 0.005) == [send(A, ids), send(B, ids), send(C, ids)]
    assert it.expire(DispatchTimer(), 0.010) == []
    assert DISPATCH in it.broadcast(b"three", 0.011)


def test_the_timer_of_announcements_runs_also_when_nobody_is_lazy() -> None:
    assert DISPATCH in tree(eager=(A,)).broadcast(b"hi", 0.0)


def test_a_frame_holds_at_most_116_announcements() -> None:
    it = tree(lazy=(A,))
    ids = [said(b"%d" % n).id for n in range(117)]
    for n in range(117):
        it.broadcast(b"%d" % n, 0.0)
    assert it.expire(DispatchTimer(), 0.005) == [
        send(A, IHave(tuple((id, 0) for id in ids[:116]))),
        send(A, IHave(((ids[116], 0),))),
    ]


@pytest.mark.parametrize(("config", "is_told"), [(EXACT, True), (OURS, False)])
def test_only_rust_still_announces_to_a_neighbor_that_was_lost_meanwhile(
    config: GossipConfig, is_told: bool
) -> None:
    it = tree(lazy=(A,), config=config)
    it.broadcast(b"hi", 0.0)
    it.peer_disconnected(A, 0.001)
    announced: list[Command] = [send(A, IHave(((HI, 0),)))]
    assert it.expire(DispatchTimer(), 0.005) == (announced if is_told else [])


# Repair


def test_a_message_that_was_announced_but_does_not_come_is_asked_of_each_announcer() -> None:
    it = tree(eager=(C,), lazy=(A, B))
    assert it.receive(A, IHave(((HI, 1),)), 0.0) == [graft_in(0.080)]
    assert it.receive(B, IHave(((HI, 2),)), 0.01) == []
    assert it.expire(GraftTimer(HI), 0.080) == [send(A, Graft(HI, 1)), graft_in(0.040)]
    assert split(it) == ({C, A}, {B})
    assert it.expire(GraftTimer(HI), 0.120) == [send(B, Graft(HI, 2)), graft_in(0.040)]
    assert it.expire(GraftTimer(HI), 0.160) == []


def test_an_announcer_that_repeats_itself_takes_no_place_of_another() -> None:
    it = tree(eager=(C,), lazy=(A, B), config=OURS)
    for _ in range(OURS.announcers_per_id_max):
        it.receive(A, IHave(((HI, 1), (HI, 1))), 0.0)
    it.receive(B, IHave(((HI, 2),)), 0.01)
    assert it.expire(GraftTimer(HI), 0.080) == [send(A, Graft(HI, 1)), graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 0.160) == [send(B, Graft(HI, 2)), graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 0.240) == []


def test_a_neighbor_that_announces_what_nobody_has_takes_no_place_of_the_others() -> None:
    it = tree(eager=(C,), lazy=(A, B), config=OURS)
    made_up = [MessageId(number.to_bytes(32, "big")) for number in range(OURS.missing_ids_max)]
    it.receive(A, IHave(tuple((id, 0) for id in made_up)), 0.0)
    assert it.receive(B, IHave(((HI, 2),)), 0.01) == [graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 0.090) == [send(B, Graft(HI, 2)), graft_in(0.080)]
    # Once it was asked in vain, it may name as many anew.
    for id in made_up:
        it.expire(GraftTimer(id), 0.1)
    waiting: list[Command] = [ScheduleTimer(TOPIC, 0.080, GraftTimer(OTHER))]
    assert it.receive(A, IHave(((OTHER, 1),)), 0.2) == waiting


def test_a_message_that_comes_in_time_is_not_asked_for() -> None:
    it = tree(eager=(C,), lazy=(A,))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.receive(C, hi(0), 0.05)
    assert it.expire(GraftTimer(HI), 0.080) == []
    assert split(it) == ({C}, {A})


def test_an_announcement_of_what_is_known_is_ignored() -> None:
    it = tree(eager=(C,), lazy=(A,))
    it.receive(C, hi(0), 0.0)
    assert it.receive(A, IHave(((HI, 1),)), 0.01) == []


def test_an_announcement_after_all_announcers_were_asked_starts_anew() -> None:
    it = tree(eager=(C,), lazy=(A, B))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.expire(GraftTimer(HI), 0.080)
    it.expire(GraftTimer(HI), 0.120)
    assert it.receive(B, IHave(((HI, 2),)), 0.2) == [graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 0.28) == [send(B, Graft(HI, 2)), graft_in(0.040)]


def test_an_announcement_between_two_grafts_has_a_timer_of_its_own() -> None:
    it = tree(eager=(C,), lazy=(A, B))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.expire(GraftTimer(HI), 0.080)
    assert it.receive(B, IHave(((HI, 2),)), 0.1) == [graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 0.120) == [send(B, Graft(HI, 2)), graft_in(0.040)]
    assert it.expire(GraftTimer(HI), 0.180) == []


def test_a_message_that_one_says_oneself_is_not_asked_for() -> None:
    it = tree(eager=(C,), lazy=(A,))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.broadcast(b"hi", 0.01)
    assert it.expire(GraftTimer(HI), 0.080) == []


def test_who_announced_a_message_that_came_is_not_asked_when_it_is_forgotten() -> None:
    it = tree(eager=(C,), lazy=(A, B))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.receive(C, hi(0), 0.01)
    it.expire(GraftTimer(HI), 0.080)
    evict_until(it, 91)
    assert it.receive(B, IHave(((HI, 1),)), 100.0) == [graft_in(0.080)]
    assert it.expire(GraftTimer(HI), 100.080) == [send(B, Graft(HI, 1)), graft_in(0.040)]


def test_a_stranger_that_was_lost_is_not_asked() -> None:
    it = tree(eager=(A,))
    it.receive(STRANGER, IHave(((HI, 1),)), 0.0)
    it.peer_disconnected(STRANGER, 0.01)
    assert it.expire(GraftTimer(HI), 0.080) == []


def test_an_announcer_that_was_lost_is_not_asked() -> None:
    it = tree(eager=(C,), lazy=(A, B))
    it.receive(A, IHave(((HI, 1),)), 0.0)
    it.receive(B, IHave(((HI, 2), (OTHER, 0))), 0.0)
    it.peer_disconnected(A, 0.01)
    assert it.expire(GraftTimer(HI), 0.080) == [send(B, Graft(HI, 2)), graft_in(0.040)]
    it.peer_disconnected(B, 0.081)
    assert it.expire(GraftTimer(OTHER), 0.080) == []


def test_a_graft_makes_eager_and_gets_the_cached_message_with_its_cached_round() -> None:
    it = tree(eager=(A,), lazy=(B,))
    it.receive(A, hi(4), 0.0)
    assert it.receive(B, Graft(HI, 0), 0.1) == [send(B, hi(5))]
    assert split(it) == ({A, B}, set())


@pytest.mark.parametrize("graft", [Graft(OTHER, 1), Graft(None, 1)])
def test_a_graft_for_nothing_or_for_what_is_not_cached_makes_eager_and_gets_nothing(
    graft: Graft,
) -> None:
    it = tree(lazy=(B,))
    assert it.receive(B, graft, 0.0) == []
    assert split(it) == ({B}, set())


def test_a_prune_makes_lazy_and_is_not_answered() -> None:
    it = tree(eager=(A, B))
    assert it.receive(A, Prune(), 0.0) == []
    assert split(it) == ({B}, {A})


@pytest.mark.parametrize(("config", "is_served"), [(EXACT, True), (OURS, False)])
@pytest.mark.parametrize("message", [Graft(HI, 0), Prune()])
def test_only_rust_lets_a_stranger_into_the_tree(
    message: Message, config: GossipConfig, is_served: bool
) -> None:
    it = tree(eager=(A,), config=config)
    it.broadcast(b"hi", 0.0)
    answer = it.receive(STRANGER, message, 0.1)
    assert answer == ([send(STRANGER, hi(0))] if isinstance(message, Graft) else [])
    it.broadcast(b"more", 1.0)
    sent = it.expire(DispatchTimer(), 1.005)
    assert (STRANGER in {*it.plumtree.eager, *it.plumtree.lazy}) is is_served
    assert (sent != []) is (is_served and isinstance(message, Prune))


@pytest.mark.parametrize("config", [EXACT, OURS])
def test_a_message_that_only_a_stranger_announced_is_asked_of_it(config: GossipConfig) -> None:
    it = tree(eager=(A,), config=config)
    it.receive(STRANGER, IHave(((HI, 1),)), 0.0)
    again = graft_in(config.graft_timeout_2_s)
    assert it.expire(GraftTimer(HI), 0.080) == [send(STRANGER, Graft(HI, 1)), again]
    assert split(it) == ({A, STRANGER} if config == EXACT else {A}, set())


# Optimisation


@pytest.mark.parametrize(("announced", "received"), [(2, 6), (2, 7), (7, 2), (3, 3)])
def test_an_announcer_less_than_seven_rounds_nearer_changes_nothing(
    announced: int, received: int
) -> None:
    it = tree(eager=(A,), lazy=(B,))
    it.receive(B, IHave(((HI, announced),)), 0.0)
    commands = it.receive(A, hi(received), 0.01)
    assert without_timers(commands) == [deliver(b"hi", A, received)]
    assert split(it) == ({A}, {B})


@pytest.mark.parametrize(("announced", "received"), [(2, 8), (2, 9), (0, 20)])
def test_an_announcer_seven_rounds_nearer_replaces_the_sender(
    announced: int, received: int
) -> None:
    it = tree(eager=(A,), lazy=(B,))
    it.receive(B, IHave(((HI, announced),)), 0.0)
    assert without_timers(it.receive(A, hi(received), 0.01)) == [
        send(B, Graft(None, announced)),
        send(A, Prune()),
        deliver(b"hi", A, received),
    ]
    assert split(it) == ({B}, {A})


def test_of_several_announcers_the_first_of_the_nearest_is_taken() -> None:
    it = tree(eager=(A,), lazy=(B, C, D))
    for peer, round in [(B, 3), (C, 1), (D, 1)]:
        it.receive(peer, IHave(((HI, round),)), 0.0)
    it.receive(A, hi(9), 0.01)
    assert split(it) == ({C}, {A, B, D})


def test_a_nearer_announcer_that_is_eager_already_gets_no_graft() -> None:
    it = tree(eager=(A, B))
    it.receive(B, IHave(((HI, 0),)), 0.0)
    assert without_timers(it.receive(A, hi(9), 0.01)) == [
        send(B, hi(10)),
        send(A, Prune()),
        deliver(b"hi", A, 9),
    ]
    assert split(it) == ({B}, {A})


@pytest.mark.parametrize(("config", "is_taken"), [(EXACT, True), (OURS, False)])
def test_only_rust_replaces_the_sender_by_a_nearer_stranger(
    config: GossipConfig, is_taken: bool
) -> None:
    it = tree(eager=(A,), config=config)
    it.receive(STRANGER, IHave(((HI, 0),)), 0.0)
    it.receive(A, hi(9), 0.01)
    assert split(it) == (({STRANGER}, {A}) if is_taken else ({A}, set()))


# Memory


def test_the_second_hand_ticks_only_while_something_is_remembered() -> None:
    it = tree(eager=(A,))
    assert EVICT in it.broadcast(b"hi", 0.0)
    assert EVICT not in it.broadcast(b"ho", 0.5)
    ticks = [it.expire(EvictTimer(), float(second)) for second in range(1, 92)]
    assert ticks == [[EVICT]] * 90 + [[]]
    assert EVICT in it.broadcast(b"hi", 200.0)


@pytest.mark.parametrize(("config", "content_s", "id_s"), [(EXACT, 30, 90), (OURS, 60, 90)])
def test_contents_and_ids_are_forgotten_in_time(
    config: GossipConfig, content_s: int, id_s: int
) -> None:
    it = tree(eager=(A, B), config=config)
    it.receive(A, hi(0), 0.0)
    evict_until(it, content_s - 1)
    (sent,) = it.receive(B, Graft(HI, 0), content_s - 1.0)
    assert isinstance(sent, SendMessage)
    assert isinstance(sent.message, Gossip)
    evict_until(it, content_s)
    assert it.receive(B, Graft(HI, 0), float(content_s)) == []
    evict_until(it, id_s - 1)
    assert it.receive(B, hi(0), id_s - 1.0) == [send(B, Prune())]
    evict_until(it, id_s)
    assert deliver(b"hi", A, 0) in it.receive(A, hi(0), float(id_s))


def test_what_is_said_again_is_kept_anew() -> None:
    it = tree(eager=(A,))
    it.broadcast(b"hi", 0.0)
    it.broadcast(b"hi", 20.0)
    evict_until(it, 49)
    assert it.receive(A, Graft(HI, 0), 49.0) == [send(A, hi(0))]
    evict_until(it, 50)
    assert it.receive(A, Graft(HI, 0), 50.0) == []


def test_what_is_said_again_does_not_keep_what_was_said_after_it_first() -> None:
    it = tree(eager=(A, B))
    it.broadcast(b"hi", 0.0)
    it.broadcast(b"ho", 10.0)
    it.broadcast(b"hi", 20.0)
    evict_until(it, 40)
    assert it.receive(A, Graft(said(b"ho").id, 0), 40.0) == []
    evict_until(it, 100)
    assert deliver(b"ho", A, 0) in it.receive(A, said(b"ho"), 100.0)


# New neighbors


def test_a_new_neighbor_is_told_of_what_is_cached_with_its_rounds_oldest_first() -> None:
    it = tree(eager=(A,), config=OURS)
    it.broadcast(b"one", 0.0)
    it.receive(A, said(b"two", 4), 0.5)
    assert it.receive(B, Neighbor(Priority.HIGH, None), 0.9) == [
        ReportNeighborUp(TOPIC, B),
        send(B, Neighbor(Priority.HIGH, MY_DATA)),
        send(B, IHave(((said(b"one").id, 0), (said(b"two").id, 5)))),
    ]


@pytest.mark.parametrize(("config", "round"), [(EXACT, 3), (OURS, 13)])
def test_each_second_in_a_cache_adds_a_round_but_not_in_rust(
    config: GossipConfig, round: int
) -> None:
    it = tree(eager=(A, B), config=config)
    it.receive(A, hi(2), 0.0)
    assert it.receive(B, Graft(HI, 0), 10.9) == [send(B, hi(round))]


def test_the_rounds_that_seconds_add_stop_at_the_largest_there_is() -> None:
    it = tree(eager=(A, B), config=OURS)
    it.receive(A, hi(65530), 0.0)
    assert it.receive(B, Graft(HI, 0), 10.0) == [send(B, hi(65535))]


def test_a_new_neighbor_is_not_told_of_what_has_come_to_60_rounds() -> None:
    it = tree(eager=(A,), config=OURS)
    it.receive(A, said(b"old", 50), 0.0)
    it.receive(A, said(b"young", 49), 0.0)
    told = it.receive(B, Neighbor(Priority.HIGH, None), 9.0)[-1]
    assert told == send(B, IHave(((said(b"young").id, 59),)))
    told = it.receive(C, Neighbor(Priority.HIGH, None), 10.0)[-1]
    assert told == send(C, Neighbor(Priority.HIGH, MY_DATA))


def test_a_new_neighbor_is_told_of_the_newest_thousand_in_nine_frames() -> None:
    it = tree(config=OURS)
    ids = [said(b"%d" % n).id for n in range(1001)]
    for n in range(1001):
        it.broadcast(b"%d" % n, 0.0)
    told = [
        command.message.ids
        for command in it.receive(B, Neighbor(Priority.HIGH, None), 1.0)
        if isinstance(command, SendMessage) and isinstance(command.message, IHave)
    ]
    assert [len(part) for part in told] == [116] * 8 + [72]
    assert [id for part in told for id, _ in part] == ids[1:]


def test_a_new_neighbor_that_lacks_a_message_gets_it() -> None:
    author, joiner = tree(config=OURS), tree(config=OURS)
    author.broadcast(b"hi", 0.0)
    for command in author.receive(B, Neighbor(Priority.HIGH, None), 1.0):
        if isinstance(command, SendMessage):
            joiner.receive(A, command.message, 1.0)
    graft, _ = joiner.expire(GraftTimer(HI), 1.080)
    assert graft == send(A, Graft(HI, 1))
    assert author.receive(B, Graft(HI, 0), 1.1) == [send(B, hi(1))]
    assert deliver(b"hi", A, 1) in joiner.receive(A, hi(1), 1.1)


# Leaving


def pushed(commands: list[Command]) -> list[tuple[EndpointId, bytes]]:
    """Return what is sent whole, and to whom."""
    return [
        (it.peer, it.message.content)
        for it in commands
        if isinstance(it, SendMessage) and isinstance(it.message, Gossip)
    ]


@pytest.mark.parametrize(("config", "last"), [(EXACT, []), (OURS, [(B, b"hi")])])
def test_who_quits_pushes_what_was_only_announced_so_far(
    config: GossipConfig, last: list[tuple[EndpointId, bytes]]
) -> None:
    it = tree(eager=(A,), lazy=(B,), config=config)
    it.broadcast(b"hi", 10.0)
    assert pushed(it.quit(10.2)) == last


def test_who_quits_pushes_the_newest_and_youngest_alone_in_their_order() -> None:
    it = tree(eager=(A,), lazy=(B,), config=OURS)
    it.broadcast(b"old", 9.0)
    for number in range(20):
        it.broadcast(b"%d" % number, 10.0)
    assert pushed(it.quit(10.1)) == [(B, b"%d" % number) for number in range(4, 20)]
