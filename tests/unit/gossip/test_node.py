"""All topics of a node, and what holds whatever peers send."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.gossip.commands import (
    Command,
    DeliverContent,
    DisconnectPeer,
    ReportNeighborDown,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import EXACT, OURS, GossipConfig
from buddies_core.gossip.events import (
    BroadcastRequested,
    DispatchTimer,
    Event,
    EvictTimer,
    GraftTimer,
    JoinRequested,
    MessageReceived,
    NeighborRequestTimer,
    OwnDataChanged,
    PeerDisconnected,
    QuitRequested,
    ShuffleTimer,
    TimerExpired,
)
from buddies_core.gossip.messages import (
    Disconnect,
    ForwardJoin,
    Gossip,
    Graft,
    IHave,
    Join,
    Message,
    Neighbor,
    NeighborsScope,
    PeerInfo,
    Priority,
    Prune,
    Shuffle,
    ShuffleReply,
    SwarmScope,
)
from buddies_core.gossip.node import Node
from buddies_core.gossip.plumtree import message_id
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.wire.gossip_messages import encode_message
from tests.unit.gossip.given import ME, MY_DATA, A, B, C, D, E, F, G, H

ONE, TWO = TopicId(b"1" * 32), TopicId(b"2" * 32)
HIGH = Priority.HIGH


def node(*topics: TopicId, config: GossipConfig = OURS, seed: int = 0) -> Node:
    it = Node(ME, MY_DATA, config, random.Random(seed))
    for topic in topics:
        it.handle(JoinRequested(topic, ()), 0.0)
    return it


def join(it: Node, topic: TopicId, peer: EndpointId) -> list[Command]:
    return it.handle(MessageReceived(topic, peer, Join(None)), 0.0)


def test_a_topic_is_joined_until_it_is_quit() -> None:
    it = node(TWO, ONE)
    it.handle(JoinRequested(TWO, (A,)), 0.0)
    joined = it.topics
    it.handle(QuitRequested(TWO), 0.0)
    assert (joined, it.topics) == ((TWO, ONE), (ONE,))


def test_the_neighbors_of_a_topic_are_its_active_view() -> None:
    it = node(ONE, TWO)
    join(it, ONE, A)
    join(it, ONE, B)
    assert (it.neighbors(ONE), it.neighbors(TWO), it.neighbors(TopicId(b"3" * 32))) == (
        (A, B),
        (),
        (),
    )


@pytest.mark.parametrize(
    "event",
    [
        MessageReceived(TWO, A, Join(None)),
        TimerExpired(TWO, ShuffleTimer()),
        BroadcastRequested(TWO, b"hi"),
        QuitRequested(TWO),
    ],
)
def test_what_concerns_a_topic_that_is_not_joined_is_ignored(event: Event) -> None:
    it = node(ONE)
    assert it.handle(event, 0.0) == []
    assert it.topics == (ONE,)


def test_a_message_for_a_topic_that_is_not_joined_leaves_no_trace() -> None:
    it = node(ONE, config=EXACT)
    join(it, TWO, A)
    # Rust would disconnect A now, had it noted that A spoke.
    assert it.handle(MessageReceived(ONE, B, Disconnect(alive=True)), 0.0)[1:] == []
    assert it.handle(PeerDisconnected(A), 0.0) == []


def test_broadcasting_and_quitting_reach_the_topic() -> None:
    it = node(ONE)
    join(it, ONE, A)
    gossip = Gossip(message_id(b"hi"), b"hi", NeighborsScope())
    broadcast = it.handle(BroadcastRequested(ONE, b"hi", neighbors_only=True), 0.0)
    assert broadcast == [SendMessage(ONE, A, gossip)]
    assert it.handle(QuitRequested(ONE), 0.0) == [
        SendMessage(ONE, A, ShuffleReply(())),
        SendMessage(ONE, A, Disconnect(alive=False)),
        DisconnectPeer(A),
    ]


def test_a_lost_connection_is_lost_for_every_topic() -> None:
    it = node(ONE, TWO)
    join(it, ONE, A)
    join(it, TWO, A)
    assert it.handle(PeerDisconnected(A), 0.0) == [
        ReportNeighborDown(ONE, A),
        ReportNeighborDown(TWO, A),
        DisconnectPeer(A),
    ]
    assert (it.neighbors(ONE), it.neighbors(TWO)) == ((), ())


def test_our_data_changes_in_the_topics_that_are_and_in_those_to_come() -> None:
    it = node(ONE)
    assert it.handle(OwnDataChanged(b"moved"), 0.0) == [ScheduleTimer(ONE, 60.0, ShuffleTimer())]
    for topic in (ONE, TWO):
        commands = it.handle(JoinRequested(topic, (A,)), 0.0)
        assert commands[-1] == SendMessage(topic, A, Join(b"moved"))


def test_a_topic_makes_its_choices_whatever_happens_in_others() -> None:
    def choices(*, with_another: bool) -> list[Command]:
        it = node(ONE, TWO, seed=7)
        commands = []
        for n, peer in enumerate([A, B, C, D, E, F, G, H]):
            if with_another:
                join(it, TWO, peer)
                it.handle(TimerExpired(TWO, ShuffleTimer()), float(n))
            commands += join(it, ONE, peer)
        return [command for command in commands if isinstance(command, ReportNeighborDown)]

    assert choices(with_another=True) == choices(with_another=False) != []


def test_two_topics_make_different_choices() -> None:
    it = node(ONE, TWO, seed=7)
    for peer in [A, B, C, D, E, F, G, H]:
        join(it, ONE, peer)
        join(it, TWO, peer)
    assert set(it.neighbors(ONE)) != set(it.neighbors(TWO))


# When a connection is given up


def test_an_evicted_neighbor_is_disconnected_even_if_it_was_answered_a_moment_ago() -> None:
    it = node(ONE)
    for peer in (A, B, C, D, E):
        it.handle(MessageReceived(ONE, peer, Neighbor(HIGH, None)), 0.0)
    commands = it.handle(MessageReceived(ONE, F, Neighbor(HIGH, None)), 0.1)
    (gone,) = {A, B, C, D, E} - {*it.neighbors(ONE)}
    assert DisconnectPeer(gone) in commands


def test_a_connection_is_kept_while_another_topic_has_the_peer_for_a_neighbor() -> None:
    it = node(ONE, TWO)
    join(it, ONE, A)
    join(it, TWO, A)
    disconnect = Disconnect(alive=True)
    assert it.handle(MessageReceived(ONE, A, disconnect), 0.0) == [ReportNeighborDown(ONE, A)]
    assert it.handle(MessageReceived(TWO, A, disconnect), 0.0) == [
        ReportNeighborDown(TWO, A),
        DisconnectPeer(A),
    ]


def test_a_connection_is_kept_while_the_peer_has_yet_to_answer() -> None:
    it = node(ONE)
    join(it, ONE, B)
    # A's walk ends here, so A is asked; that it is no neighbor yet is no reason to hang up.
    walk = ForwardJoin(PeerInfo(A, None), 0)
    assert it.handle(MessageReceived(ONE, A, walk), 0.0) == [
        SendMessage(ONE, A, Neighbor(HIGH, MY_DATA))
    ]
    assert it.needs(A)
    assert not it.needs(C)


def test_in_rust_the_first_topic_to_let_go_disconnects_the_peer_for_all() -> None:
    it = node(ONE, TWO, config=EXACT)
    join(it, ONE, A)
    join(it, TWO, A)
    disconnect = Disconnect(alive=True)
    assert it.handle(MessageReceived(ONE, A, disconnect), 0.0) == [
        ReportNeighborDown(ONE, A),
        DisconnectPeer(A),
    ]
    # By this message A is noted again, so the second topic disconnects it once more.
    assert it.handle(MessageReceived(TWO, A, disconnect), 0.0) == [
        ReportNeighborDown(TWO, A),
        DisconnectPeer(A),
    ]


def test_in_rust_a_peer_that_never_spoke_is_not_disconnected() -> None:
    it = node(ONE, config=EXACT)
    join(it, ONE, A)
    it.handle(MessageReceived(ONE, A, Neighbor(HIGH, None)), 0.0)
    for peer in (B, C, D, E):
        it.handle(MessageReceived(ONE, A, ForwardJoin(PeerInfo(peer, None), 0)), 0.0)
        it.handle(MessageReceived(ONE, peer, Neighbor(HIGH, None)), 0.0)
    full = it.handle(MessageReceived(ONE, F, Neighbor(Priority.LOW, None)), 0.0)
    # Refused and no neighbor: the topic says so twice, but F is noted once.
    assert full.count(DisconnectPeer(F)) == 1
    assert it.handle(PeerDisconnected(F), 0.0) == []


def test_in_rust_a_topic_in_which_the_peer_has_not_spoken_since_does_not_disconnect_it() -> None:
    it = node(ONE, TWO, config=EXACT)
    join(it, ONE, A)
    join(it, TWO, A)
    # The second topic lets go, which forgets that A spoke in the first one, and hears A again.
    it.handle(MessageReceived(TWO, A, Disconnect(alive=True)), 0.0)
    it.handle(MessageReceived(TWO, A, Prune()), 0.0)
    assert DisconnectPeer(A) not in it.handle(QuitRequested(ONE), 0.0)


# Whatever peers do

SENDERS = st.sampled_from([A, B, C, D, E, F, G, H])
PEERS = st.just(ME) | SENDERS
TOPICS = st.sampled_from([ONE, TWO])
DATA = st.sampled_from([None, b"", b"x", b"y"])
CONTENTS = st.sampled_from([b"hi", b"ho", b"hey"])
IDS = CONTENTS.map(message_id)
ROUNDS = st.sampled_from([0, 1, 2, 9, 20, 65535])
INFOS = st.builds(PeerInfo, PEERS, DATA)
NODES = st.lists(INFOS, max_size=9).map(tuple)
TTLS = st.sampled_from([0, 1, 3, 6, 65535])
SCOPES = st.one_of(ROUNDS.map(SwarmScope), st.just(NeighborsScope()))
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Join, DATA),
    st.builds(ForwardJoin, INFOS, TTLS),
    st.builds(Shuffle, PEERS, NODES, TTLS),
    st.builds(ShuffleReply, NODES),
    st.builds(Neighbor, st.sampled_from(Priority), DATA),
    st.builds(Disconnect, st.booleans()),
    st.builds(lambda content, scope: Gossip(message_id(content), content, scope), CONTENTS, SCOPES),
    st.builds(Gossip, IDS, CONTENTS, SCOPES),
    st.builds(Prune),
    st.builds(Graft, st.none() | IDS, ROUNDS),
    st.builds(IHave, st.lists(st.tuples(IDS, ROUNDS), max_size=4).map(tuple)),
)
TIMERS = st.one_of(
    st.builds(ShuffleTimer),
    st.builds(NeighborRequestTimer, PEERS),
    st.builds(GraftTimer, IDS),
    st.builds(DispatchTimer),
    st.builds(EvictTimer),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(MessageReceived, TOPICS, SENDERS, MESSAGES),
    st.builds(MessageReceived, st.just(ONE), SENDERS, MESSAGES),
    st.builds(TimerExpired, TOPICS, TIMERS),
    st.builds(BroadcastRequested, TOPICS, CONTENTS, st.booleans()),
    st.builds(JoinRequested, TOPICS, st.lists(PEERS, max_size=2).map(tuple)),
    st.builds(QuitRequested, st.just(TWO)),
    st.builds(PeerDisconnected, SENDERS),
    st.builds(OwnDataChanged, st.sampled_from([b"", b"z"])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 0.04, 1.0, 30.0])), max_size=60))
@pytest.mark.parametrize("config", [EXACT, OURS], ids=["EXACT", "OURS"])
def test_the_views_and_the_tree_stay_sound(
    config: GossipConfig, events: list[tuple[Event, float]]
) -> None:
    it = node(ONE, TWO, config=config)
    now_s = 0.0
    neighbors: dict[TopicId, list[EndpointId]] = {ONE: [], TWO: []}
    for event, seconds in events:
        now_s += seconds
        for command in it.handle(event, now_s):
            match command:
                case SendMessage(_, peer, message):
                    assert peer != ME
                    assert encode_message(message)
                case ReportNeighborUp(topic, peer):
                    assert peer not in neighbors[topic]
                    neighbors[topic].append(peer)
                case ReportNeighborDown(topic, peer):
                    neighbors[topic].remove(peer)
                case ScheduleTimer(_, delay_s, _):
                    assert delay_s > 0
                case DeliverContent(_, content, _, _):
                    assert isinstance(event, MessageReceived)
                    assert isinstance(event.message, Gossip)
                    assert event.message.id == message_id(content)
                case _:
                    pass
        if isinstance(event, QuitRequested):
            neighbors[event.topic] = []
        for id, joined in it._topics.items():
            active, passive = set(joined.hyparview.active), set(joined.hyparview.passive)
            eager, lazy = set(joined.plumtree.eager), set(joined.plumtree.lazy)
            assert active == set(it.neighbors(id)) == set(neighbors[id])
            assert active.isdisjoint(passive)
            assert eager.isdisjoint(lazy)
            assert ME not in active | passive
            assert len(active) <= 5
            assert len(passive) <= 30
            assert eager | lazy == active or (config is EXACT and active <= eager | lazy)
