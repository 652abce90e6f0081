"""Each rule by which neighbors are made, kept and lost, as iroh-gossip 0.101 has it (EXACT)."""

import random

import pytest

from buddies_core.gossip.commands import (
    Command,
    DisconnectPeer,
    RememberPeerData,
    ReportNeighborDown,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import EXACT, OURS, GossipConfig
from buddies_core.gossip.events import NeighborRequestTimer, ShuffleTimer
from buddies_core.gossip.messages import (
    Disconnect,
    ForwardJoin,
    Join,
    Message,
    Neighbor,
    PeerInfo,
    Priority,
    Shuffle,
    ShuffleReply,
)
from buddies_core.gossip.topic import Topic
from buddies_core.model.ids import EndpointId
from tests.unit.gossip.given import (
    ME,
    MY_DATA,
    STRANGER,
    TOPIC,
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    active,
    passive,
    topic,
    without_timers,
)

HIGH, LOW = Priority.HIGH, Priority.LOW
FULL = (A, B, C, D, E)


def send(peer: EndpointId, message: Message) -> SendMessage:
    return SendMessage(TOPIC, peer, message)


def nodes(*peers: EndpointId) -> tuple[PeerInfo, ...]:
    return tuple(PeerInfo(peer, None) for peer in peers)


def up(peer: EndpointId) -> ReportNeighborUp:
    return ReportNeighborUp(TOPIC, peer)


def down(peer: EndpointId) -> ReportNeighborDown:
    return ReportNeighborDown(TOPIC, peer)


def asks(peer: EndpointId, priority: Priority) -> list[Command]:
    """What it looks like when a passive peer is asked to take a place."""
    return [
        send(peer, Neighbor(priority, MY_DATA)),
        ScheduleTimer(TOPIC, 0.5, NeighborRequestTimer(peer)),
    ]


def asked_in(commands: list[Command]) -> NeighborRequestTimer:
    """The timer of the one peer that is asked."""
    (timer,) = [
        command.timer
        for command in commands
        if isinstance(command, ScheduleTimer) and isinstance(command.timer, NeighborRequestTimer)
    ]
    return timer


def sample_in(commands: list[Command]) -> ShuffleReply:
    """The one sample that is sent."""
    (sample,) = [
        command.message
        for command in commands
        if isinstance(command, SendMessage) and isinstance(command.message, ShuffleReply)
    ]
    return sample


# What peers say of themselves


@pytest.mark.parametrize(("config", "is_replaced"), [(EXACT, True), (OURS, False)])
def test_what_others_say_of_a_peer_replaces_what_it_has_told_itself(
    config: GossipConfig, is_replaced: bool
) -> None:
    it = topic(active=[A, B], config=config)
    it.receive(C, Join(b"own"), 0.0)
    made_up = it.receive(A, ShuffleReply((PeerInfo(C, b"made up"),)), 0.0)
    assert made_up == [RememberPeerData(C, b"made up", A)]
    shown = sample_in(it.receive(B, Shuffle(B, nodes(A, B, C), 0), 0.0))
    told = {node.id: node.data for node in shown.nodes}
    assert told[C] == (b"made up" if is_replaced else b"own")


def test_new_data_of_a_peer_is_reported_once() -> None:
    it = topic(active=[A, B])
    first = it.receive(A, ForwardJoin(PeerInfo(C, b"here"), 3), 0.0)
    again = it.receive(A, ForwardJoin(PeerInfo(C, b"here"), 3), 0.0)
    other = it.receive(A, ForwardJoin(PeerInfo(C, b"there"), 3), 0.0)

    onward = [send(B, ForwardJoin(PeerInfo(C, b"here"), 2))]
    assert first == [RememberPeerData(C, b"here", A), *onward]
    assert again == onward
    assert other == [
        RememberPeerData(C, b"there", A),
        send(B, ForwardJoin(PeerInfo(C, b"there"), 2)),
    ]


@pytest.mark.parametrize("data", [None, b""])
def test_absent_or_empty_data_is_not_reported(data: bytes | None) -> None:
    commands = topic(active=[A, B]).receive(A, ForwardJoin(PeerInfo(C, data), 3), 0.0)
    assert commands == [send(B, ForwardJoin(PeerInfo(C, data), 2))]


def test_absent_data_leaves_what_is_known() -> None:
    it = topic(active=[A, B])
    it.receive(A, ForwardJoin(PeerInfo(C, b"here"), 3), 0.0)
    it.receive(A, ForwardJoin(PeerInfo(C, None), 3), 0.0)
    assert it.receive(A, ForwardJoin(PeerInfo(C, b"here"), 3), 0.0) == [
        send(B, ForwardJoin(PeerInfo(C, b"here"), 2))
    ]


def test_empty_data_replaces_what_is_known() -> None:
    it = topic(active=[A])
    it.receive(A, Neighbor(HIGH, b"here"), 0.0)
    assert sample_in(it.receive(A, Shuffle(D, nodes(A), 0), 0.0)).nodes == (PeerInfo(A, b"here"),)
    it.receive(A, Neighbor(HIGH, b""), 0.0)
    assert sample_in(it.receive(A, Shuffle(D, nodes(A), 0), 0.0)).nodes == (PeerInfo(A, b""),)


# Join


def test_joining_sends_our_data_to_each_contact() -> None:
    it = Topic(TOPIC, ME, MY_DATA, EXACT, random.Random(0))
    assert it.join([A, B], 0.0) == [
        ScheduleTimer(TOPIC, 60.0, ShuffleTimer()),
        send(A, Join(MY_DATA)),
        send(B, Join(MY_DATA)),
    ]


def test_joining_by_way_of_nobody_does_nothing_yet() -> None:
    it = Topic(TOPIC, ME, MY_DATA, EXACT, random.Random(0))
    assert it.join([], 0.0) == []
    assert it.join([A], 9.0)[0] == ScheduleTimer(TOPIC, 60.0, ShuffleTimer())


def test_joining_by_way_of_oneself_sends_nothing() -> None:
    assert topic(active=[A]).join([ME], 0.0) == []


def test_a_newcomer_is_taken_and_announced_to_all_other_neighbors_with_its_data_as_received() -> (
    None
):
    it = topic(active=[A, B])
    assert it.receive(C, Join(b"c"), 0.0) == [
        RememberPeerData(C, b"c", C),
        up(C),
        send(C, Neighbor(HIGH, MY_DATA)),
        send(A, ForwardJoin(PeerInfo(C, b"c"), 6)),
        send(B, ForwardJoin(PeerInfo(C, b"c"), 6)),
    ]
    assert active(it) == {A, B, C}


def test_a_newcomer_evicts_a_random_neighbor_of_a_full_node() -> None:
    evicted = set()
    for seed in range(40):
        it = topic(active=FULL, seed=seed)
        commands = it.receive(F, Join(None), 0.0)
        (gone,) = {*FULL} - active(it)
        sample = sample_in(commands)
        assert set(sample.nodes) == set(nodes(*FULL)) - set(nodes(gone))
        assert commands == [
            down(gone),
            send(gone, sample),
            send(gone, Disconnect(alive=True)),
            DisconnectPeer(gone),
            up(F),
            send(F, Neighbor(HIGH, MY_DATA)),
            *[send(peer, ForwardJoin(PeerInfo(F, None), 6)) for peer in it.hyparview.active][:-1],
        ]
        assert passive(it) == {gone}
        evicted.add(gone)
    assert evicted == {*FULL}


def test_a_join_from_a_neighbor_repeats_all_but_the_pending_neighbor_message() -> None:
    it = topic(active=[A])
    it.receive(C, Join(None), 0.0)
    announced = [send(A, ForwardJoin(PeerInfo(C, None), 6))]
    assert it.receive(C, Join(None), 0.0) == announced
    it.receive(C, Neighbor(HIGH, None), 0.0)
    assert it.receive(C, Join(None), 0.0) == [send(C, Neighbor(HIGH, MY_DATA)), *announced]


# ForwardJoin


def test_a_walk_is_passed_on_with_one_step_less_but_not_back() -> None:
    commands = topic(active=[A, B]).receive(A, ForwardJoin(PeerInfo(C, b""), 6), 0.0)
    assert commands == [send(B, ForwardJoin(PeerInfo(C, b""), 5))]


def test_three_steps_before_the_end_the_newcomer_enters_the_passive_view() -> None:
    for ttl, expected in [(4, set()), (3, {C}), (2, set())]:
        it = topic(active=[A, B])
        commands = it.receive(A, ForwardJoin(PeerInfo(C, None), ttl), 0.0)
        assert (passive(it), commands) == (
            expected,
            [send(B, ForwardJoin(PeerInfo(C, None), ttl - 1))],
        )


@pytest.mark.parametrize(("neighbors", "ttl"), [([A, B], 0), ([A], 6)])
def test_where_a_walk_ends_the_newcomer_is_asked_but_not_yet_a_neighbor(
    neighbors: list[EndpointId], ttl: int
) -> None:
    it = topic(active=neighbors)
    commands = it.receive(A, ForwardJoin(PeerInfo(C, b"c"), ttl), 0.0)
    assert commands == [RememberPeerData(C, b"c", A), send(C, Neighbor(HIGH, MY_DATA))]
    assert C not in active(it)
    assert it.receive(C, Neighbor(HIGH, b"c"), 0.0) == [up(C)]


def test_a_walk_that_meets_a_neighbor_of_the_newcomer_renews_the_edge() -> None:
    it = topic(active=[A, B, C])
    commands = it.receive(A, ForwardJoin(PeerInfo(C, b"c"), 6), 0.0)
    assert commands == [RememberPeerData(C, b"c", A), send(C, Neighbor(HIGH, MY_DATA))]


def test_a_walk_is_not_passed_on_while_the_newcomer_has_yet_to_answer() -> None:
    it = topic(active=[A, B])
    it.receive(A, ForwardJoin(PeerInfo(C, None), 0), 0.0)
    assert it.receive(A, ForwardJoin(PeerInfo(C, None), 3), 0.0) == []
    assert passive(it) == {C}


def test_a_peer_that_has_yet_to_answer_is_not_asked_again() -> None:
    it = topic(active=[A, B])
    assert len(it.receive(A, ForwardJoin(PeerInfo(C, None), 0), 0.0)) == 1
    assert it.receive(B, ForwardJoin(PeerInfo(C, None), 0), 0.0) == []


def test_a_walk_that_ends_at_the_newcomer_itself_is_ignored() -> None:
    it = topic(active=[A])
    assert it.receive(A, ForwardJoin(PeerInfo(ME, b"old"), 0), 0.0) == []
    assert (active(it), passive(it)) == ({A}, set())


# Neighbor


def test_an_edge_takes_three_messages_after_a_join() -> None:
    newcomer, contact = topic(), topic()
    (join,) = newcomer.join([A], 0.0)
    assert join == send(A, Join(MY_DATA))
    assert contact.receive(B, Join(None), 0.0) == [up(B), send(B, Neighbor(HIGH, MY_DATA))]
    assert newcomer.receive(A, Neighbor(HIGH, None), 0.0) == [
        up(A),
        send(A, Neighbor(HIGH, MY_DATA)),
    ]
    assert contact.receive(B, Neighbor(HIGH, None), 0.0) == []


def test_a_request_of_low_priority_is_granted_where_there_is_room() -> None:
    it = topic(active=[A, B, C, D])
    assert it.receive(E, Neighbor(LOW, None), 0.0) == [up(E), send(E, Neighbor(LOW, MY_DATA))]


def test_a_request_of_low_priority_is_refused_by_a_full_node_which_leaves_names() -> None:
    it = topic(active=FULL, passive=[G])
    commands = it.receive(F, Neighbor(LOW, b"f"), 0.0)
    sample = sample_in(commands)
    assert set(sample.nodes) == set(nodes(*FULL, G))
    assert commands == [
        RememberPeerData(F, b"f", F),
        send(F, sample),
        send(F, Disconnect(alive=True)),
        DisconnectPeer(F),
        DisconnectPeer(F),
    ]
    assert (active(it), passive(it)) == ({*FULL}, {G})


def test_a_request_of_high_priority_evicts_from_a_full_node() -> None:
    it = topic(active=FULL)
    it.receive(F, Neighbor(HIGH, None), 0.0)
    assert F in active(it)
    assert len(active(it)) == 5


def test_a_neighbor_that_asks_again_is_answered_and_stays() -> None:
    it = topic(active=[A])
    assert it.receive(A, Neighbor(LOW, None), 0.0) == [send(A, Neighbor(LOW, MY_DATA))]


def test_a_passive_peer_that_becomes_a_neighbor_leaves_the_passive_view() -> None:
    it = topic(active=[A], passive=[B, C])
    it.receive(B, Neighbor(LOW, None), 0.0)
    assert (active(it), passive(it)) == ({A, B}, {C})


@pytest.mark.parametrize(("config", "answers"), [(EXACT, []), (OURS, [C])])
def test_only_rust_takes_a_later_request_for_an_answer_to_its_own_old_answer(
    config: GossipConfig, answers: list[EndpointId]
) -> None:
    it = topic(active=[A], config=config)
    it.receive(C, Neighbor(HIGH, None), 0.0)
    assert it.receive(C, Neighbor(HIGH, None), 4.9) == []

    it = topic(active=[A], config=config)
    it.receive(C, Neighbor(HIGH, None), 0.0)
    commands = it.receive(C, Neighbor(HIGH, None), 5.0)
    assert commands == [send(peer, Neighbor(HIGH, MY_DATA)) for peer in answers]


@pytest.mark.parametrize(("config", "asked"), [(EXACT, False), (OURS, True)])
def test_only_rust_seeks_no_neighbor_in_place_of_a_lost_one_once_it_has_answered_others(
    config: GossipConfig, asked: bool
) -> None:
    it = topic(active=[A, B], passive=[F], config=config)
    for peer in (C, D, E):
        it.receive(peer, Neighbor(HIGH, None), 0.0)
    commands = it.peer_disconnected(A, 1.0)
    assert commands == [down(A), DisconnectPeer(A), *(asks(F, LOW) if asked else [])]


def a_node_that_has_evicted_a_newcomer(config: GossipConfig = OURS) -> tuple[Topic, EndpointId]:
    """Before the newcomer could answer."""
    it = topic(config=config)
    for newcomer in (A, B, C, D, E, F):
        it.receive(newcomer, Join(None), 0.0)
    (evicted,) = {A, B, C, D, E} - active(it)
    return it, evicted


@pytest.mark.parametrize(("config", "is_taken"), [(EXACT, True), (OURS, False)])
def test_only_rust_takes_the_answer_of_a_newcomer_that_it_has_evicted_meanwhile(
    config: GossipConfig, is_taken: bool
) -> None:
    it, evicted = a_node_that_has_evicted_a_newcomer(config)
    commands = it.receive(evicted, Neighbor(HIGH, None), 0.1)
    assert (evicted in active(it)) is is_taken
    if not is_taken:
        assert commands == [
            send(evicted, sample_in(commands)),
            send(evicted, Disconnect(alive=True)),
            DisconnectPeer(evicted),
            DisconnectPeer(evicted),
        ]
        # That was the answer; the next one is a request of its own, and granted.
        it.receive(evicted, Neighbor(HIGH, None), 0.2)
        assert evicted in active(it)


def test_an_evicted_newcomer_that_has_taken_leave_or_was_lost_may_ask_anew() -> None:
    it, evicted = a_node_that_has_evicted_a_newcomer()
    it.receive(evicted, Disconnect(alive=True), 0.1)
    it.receive(evicted, Neighbor(HIGH, None), 0.2)
    assert evicted in active(it)

    it, evicted = a_node_that_has_evicted_a_newcomer()
    it.peer_disconnected(evicted, 0.1)
    it.receive(evicted, Neighbor(HIGH, None), 0.2)
    assert evicted in active(it)


def test_an_evicted_newcomer_that_was_asked_again_is_taken() -> None:
    it, evicted = a_node_that_has_evicted_a_newcomer()
    (other, *_) = active(it)
    assert send(evicted, Neighbor(HIGH, MY_DATA)) in it.receive(
        other, ForwardJoin(PeerInfo(evicted, None), 0), 0.1
    )
    it.receive(evicted, Neighbor(HIGH, None), 0.2)
    assert evicted in active(it)


# Shuffle


def test_samples_are_exchanged_every_60_seconds_from_the_first_event_on() -> None:
    it = Topic(TOPIC, ME, MY_DATA, EXACT, random.Random(0))
    assert it.receive(A, Disconnect(alive=True), 7.0) == [
        ScheduleTimer(TOPIC, 60.0, ShuffleTimer())
    ]
    assert it.receive(A, Disconnect(alive=True), 8.0) == []
    assert it.expire(ShuffleTimer(), 67.0) == [ScheduleTimer(TOPIC, 60.0, ShuffleTimer())]


def test_a_sample_holds_three_neighbors_four_passive_peers_and_oneself_last() -> None:
    targets = set()
    for seed in range(40):
        it = topic(active=FULL, passive=[F, G, H, STRANGER, EndpointId(b"x" * 32)], seed=seed)
        it.receive(A, Neighbor(LOW, b"a"), 0.0)
        timer, shuffle = it.expire(ShuffleTimer(), 60.0)
        assert timer == ScheduleTimer(TOPIC, 60.0, ShuffleTimer())
        assert isinstance(shuffle, SendMessage)
        message = shuffle.message
        assert isinstance(message, Shuffle)
        assert (message.origin, message.ttl) == (ME, 6)
        assert message.nodes[-1] == PeerInfo(ME, MY_DATA)
        sample = [node.id for node in message.nodes[:-1]]
        assert len(set(sample)) == len(sample) == 7
        assert set(sample[:3]) < {*FULL} - {shuffle.peer}
        assert set(sample[3:]) < passive(it)
        assert all(node.data == (b"a" if node.id == A else None) for node in message.nodes[:-1])
        targets.add(shuffle.peer)
    assert targets == {*FULL}


def test_a_sample_is_passed_on_unchanged_but_neither_back_nor_to_its_origin() -> None:
    it = topic(active=[A, B, C])
    shuffle = Shuffle(B, nodes(D, E), 6)
    assert it.receive(A, shuffle, 0.0) == [send(C, Shuffle(B, nodes(D, E), 5))]
    assert passive(it) == set()


def test_a_sample_that_can_only_go_back_is_dropped() -> None:
    it = topic(active=[A, B])
    assert it.receive(A, Shuffle(B, nodes(D, E), 6), 0.0) == []
    assert passive(it) == set()


@pytest.mark.parametrize(("neighbors", "ttl"), [([A, B], 0), ([A], 6)])
def test_where_a_sample_ends_its_peers_are_kept_and_as_many_are_returned_to_its_origin(
    neighbors: list[EndpointId], ttl: int
) -> None:
    it = topic(active=neighbors)
    it.receive(A, Neighbor(LOW, None), 0.0)
    commands = it.receive(A, Shuffle(D, (PeerInfo(E, b""), PeerInfo(D, b"")), ttl), 0.0)
    # Not filtered: the origin may find itself in it.
    assert set(sample_in(commands).nodes) == {PeerInfo(E, b""), PeerInfo(D, b"")}
    assert commands == [send(D, sample_in(commands))]
    assert passive(it) == {D, E}


def test_a_short_answer_to_a_sample_is_filled_up_with_neighbors() -> None:
    it = topic(active=[A])
    (reply,) = it.receive(A, Shuffle(D, nodes(A, E, ME), 0), 0.0)
    assert reply == send(D, ShuffleReply(nodes(E, A)))
    assert passive(it) == {E}


def test_a_full_passive_view_drops_a_random_peer_for_a_new_one() -> None:
    book = [EndpointId(bytes([100 + n]) * 32) for n in range(30)]
    dropped = set()
    for seed in range(200):
        it = topic(active=[A], passive=book, seed=seed)
        it.receive(A, Shuffle(A, nodes(B), 0), 0.0)
        assert B in passive(it)
        assert len(passive(it)) == 30
        dropped |= {*book} - passive(it)
    assert dropped == {*book}


def test_a_returned_sample_is_kept_and_one_of_it_fills_a_free_place() -> None:
    it = topic(active=[A])
    commands = it.receive(A, ShuffleReply((PeerInfo(B, b"b"), PeerInfo(A, b""))), 0.0)
    assert commands == [RememberPeerData(B, b"b", A), *asks(B, LOW)]
    assert passive(it) == {B}


def test_a_returned_sample_from_a_peer_that_is_no_neighbor_ends_the_connection() -> None:
    it = topic(active=FULL)
    assert it.receive(F, ShuffleReply(nodes(G)), 0.0) == [DisconnectPeer(F)]
    assert passive(it) == {G}


@pytest.mark.parametrize(
    ("message", "is_ended"),
    [
        (ForwardJoin(PeerInfo(G, None), 2), True),
        (Shuffle(G, (), 2), True),
        (ShuffleReply(()), True),
        (Disconnect(alive=True), False),
    ],
)
def test_any_message_but_disconnect_from_a_stranger_ends_the_connection(
    message: Message, is_ended: bool
) -> None:
    commands = topic(active=FULL).receive(STRANGER, message, 0.0)
    assert (DisconnectPeer(STRANGER) in commands) is is_ended


# Requests for a place


def test_a_node_without_neighbors_asks_with_high_priority() -> None:
    it = topic(active=[A], passive=[B])
    assert it.peer_disconnected(A, 0.0) == [down(A), DisconnectPeer(A), *asks(B, HIGH)]


def test_a_node_with_neighbors_asks_with_low_priority_and_only_one_peer_at_a_time() -> None:
    it = topic(active=[A, B], passive=[C])
    assert it.peer_disconnected(A, 0.0) == [down(A), DisconnectPeer(A), *asks(C, LOW)]
    it = topic(active=[A, B], passive=[C, D, F])
    asked = it.peer_disconnected(A, 0.0)[2:]
    assert asked in [asks(peer, LOW) for peer in (C, D, F)]


def test_a_peer_that_has_yet_to_answer_is_not_the_one_asked_instead() -> None:
    for seed in range(10):
        it = topic(active=[A, B], passive=[C, D], seed=seed)
        it.receive(A, ForwardJoin(PeerInfo(C, None), 0), 0.0)
        assert it.peer_disconnected(A, 0.0) == [down(A), DisconnectPeer(A), *asks(D, LOW)]


def test_nobody_is_asked_while_those_who_have_yet_to_answer_would_fill_the_view() -> None:
    it = topic(active=[A, B, C, D], passive=[F, G])
    it.receive(A, ForwardJoin(PeerInfo(H, None), 0), 0.0)
    assert it.receive(A, ShuffleReply(()), 0.0) == []


def test_a_peer_that_does_not_answer_in_half_a_second_is_forgotten_and_the_next_one_asked() -> None:
    it = topic(active=[A, B], passive=[C, D])
    asked = asked_in(it.peer_disconnected(A, 0.0))
    (other,) = {C, D} - {asked.peer}
    assert it.expire(asked, 0.5) == asks(other, LOW)
    assert passive(it) == {other}


def test_the_timer_of_a_peer_that_has_answered_does_nothing() -> None:
    it = topic(active=[A, B], passive=[C, D])
    asked = asked_in(it.peer_disconnected(A, 0.0))
    it.receive(asked.peer, Neighbor(LOW, None), 0.1)
    assert it.expire(asked, 0.5) == []


@pytest.mark.parametrize(("config", "is_next_asked"), [(EXACT, False), (OURS, True)])
def test_only_rust_asks_nobody_else_when_the_asked_peer_cannot_be_reached(
    config: GossipConfig, is_next_asked: bool
) -> None:
    it = topic(active=[A, B], passive=[C, D], config=config)
    asked = asked_in(it.peer_disconnected(A, 0.0))
    (other,) = {C, D} - {asked.peer}
    commands = it.peer_disconnected(asked.peer, 0.1)
    assert commands == (asks(other, LOW) if is_next_asked else [])
    assert it.expire(asked, 0.5) == []


# Leaving the active view


def test_a_lost_connection_removes_the_neighbor_and_its_address() -> None:
    it = topic(active=[A, B])
    assert it.peer_disconnected(A, 0.0) == [down(A), DisconnectPeer(A)]
    assert (active(it), passive(it)) == ({B}, set())


def test_a_disconnect_from_a_neighbor_that_lives_on_keeps_its_address() -> None:
    it = topic(active=[A, B])
    assert it.receive(A, Disconnect(alive=True), 0.0) == [down(A), DisconnectPeer(A)]
    assert (active(it), passive(it)) == ({B}, {A})
    # The connection then ends, as it should, and that is not taken for its death.
    assert it.peer_disconnected(A, 0.1) == []
    assert passive(it) == {A}
    assert it.peer_disconnected(A, 0.2) == []
    assert passive(it) == set()


def test_a_disconnect_from_a_neighbor_that_shuts_down_keeps_nothing() -> None:
    it = topic(active=[A, B])
    assert it.receive(A, Disconnect(alive=False), 0.0) == [down(A), DisconnectPeer(A)]
    assert (active(it), passive(it)) == ({B}, set())


def test_a_neighbor_that_disconnects_is_not_the_one_asked_to_replace_it() -> None:
    it = topic(active=[A, B], passive=[C])
    commands = it.receive(A, Disconnect(alive=True), 0.0)
    assert commands == [down(A), DisconnectPeer(A), *asks(C, LOW)]
    it = topic(active=[A, B])
    assert it.receive(A, Disconnect(alive=True), 0.0) == [down(A), DisconnectPeer(A)]


def test_a_disconnect_from_a_passive_peer_keeps_it_when_the_connection_ends() -> None:
    it = topic(active=FULL, passive=[F, G])
    assert it.receive(F, Disconnect(alive=True), 0.0) == []
    it.receive(G, Disconnect(alive=False), 0.0)
    it.peer_disconnected(F, 0.1)
    it.peer_disconnected(G, 0.1)
    assert passive(it) == {F}


def test_a_disconnect_is_the_answer_of_a_peer_that_refuses() -> None:
    it = topic(active=[A, B], passive=[C])
    it.peer_disconnected(A, 0.0)
    it.receive(C, Disconnect(alive=True), 0.1)
    assert it.expire(NeighborRequestTimer(C), 0.5) == []
    assert passive(it) == {C}


def test_the_end_of_a_connection_to_a_passive_peer_forgets_it_and_its_data() -> None:
    it = topic(active=FULL)
    it.receive(A, Shuffle(B, (PeerInfo(F, b"f"),), 0), 0.0)
    assert it.peer_disconnected(F, 0.0) == []
    assert passive(it) == set()
    again = it.receive(A, ShuffleReply((PeerInfo(F, b"f"),)), 0.0)
    assert again == [RememberPeerData(F, b"f", A)]


def test_an_evicted_neighbor_that_was_told_so_stays_an_address_when_its_connection_ends() -> None:
    it = topic(active=FULL)
    it.receive(F, Neighbor(HIGH, None), 0.0)
    (evicted,) = passive(it)
    it.peer_disconnected(evicted, 0.1)
    assert passive(it) == {evicted}


def test_a_neighbor_that_had_been_evicted_before_stays_an_address_when_its_connection_ends() -> (
    None
):
    it = topic(active=[A, B, C])
    it.receive(A, Disconnect(alive=True), 0.0)
    it.receive(A, Neighbor(HIGH, None), 0.1)
    assert it.peer_disconnected(A, 0.2) == [down(A), DisconnectPeer(A)]
    assert passive(it) == {A}


def test_leaving_tells_each_neighbor_not_to_keep_us_and_nobody_else() -> None:
    it = topic(active=[A, B], passive=[C])
    assert it.quit(0.0) == [
        send(A, ShuffleReply(nodes(C, B))),
        send(A, Disconnect(alive=False)),
        DisconnectPeer(A),
        send(B, ShuffleReply(nodes(C))),
        send(B, Disconnect(alive=False)),
        DisconnectPeer(B),
    ]


def test_who_is_left_gets_at_most_seven_names() -> None:
    book = [EndpointId(bytes([100 + n]) * 32) for n in range(30)]
    farewell = sample_in(topic(active=[A], passive=book).quit(0.0))
    assert len(set(farewell.nodes)) == 7


# Our own data


def test_a_change_of_our_data_is_told_with_the_next_message_only() -> None:
    it = topic(active=[A])
    assert it.change_data(b"moved", 0.0) == []
    assert it.join([B], 0.0) == [send(B, Join(b"moved"))]
    assert it.receive(A, Neighbor(LOW, None), 0.0) == [send(A, Neighbor(LOW, b"moved"))]
    assert without_timers(it.expire(ShuffleTimer(), 60.0)) == [
        send(A, Shuffle(ME, (PeerInfo(ME, b"moved"),), 6))
    ]


# Bounds


def test_data_is_remembered_of_so_many_peers_and_the_oldest_goes_first() -> None:
    it = topic(active=FULL, config=GossipConfig(peer_data_kept_max=2))
    for peer, data in [(F, b"f"), (G, b"g"), (F, b"f2"), (H, b"h")]:
        it.receive(A, ForwardJoin(PeerInfo(peer, data), 3), 0.0)
    sample = sample_in(it.receive(A, Shuffle(D, nodes(F, G, H), 0), 0.0))
    assert set(sample.nodes) == {PeerInfo(F, None), PeerInfo(G, b"g"), PeerInfo(H, b"h")}


def test_two_nodes_that_answer_each_other_late_come_to_rest() -> None:
    """A request that was given up is still answered, and that answer is answered; then no more."""
    one, other = topic(config=OURS), topic(config=OURS)
    sent = [send(B, Neighbor(LOW, MY_DATA))]  # by `one`, who has given up
    for step in range(3):
        receiver, sender = (other, A) if step % 2 == 0 else (one, B)
        (message,) = [it.message for it in sent]
        commands = receiver.receive(sender, message, float(step))
        sent = [it for it in commands if isinstance(it, SendMessage)]
    assert sent == []
    assert (active(one), active(other)) == ({B}, {A})
