"""What the papers claim and we rely on, each claim a test.

HyParView: Leitão, Pereira, Rodrigues, "HyParView: a membership protocol for reliable gossip-based
broadcast", DSN 2007. PlumTree: the same, "Epidemic broadcast trees", SRDS 2007. Pages are named
where they are known. Figures are theirs only where the test says so: they had other networks.
"""

from collections import Counter
from statistics import mean

import pytest

from buddies_core.gossip.config import OURS
from buddies_core.gossip.messages import ForwardJoin, Graft, IHave, Message, Prune, Shuffle
from tests.simulation.scenarios import LATENCY_S
from tests.simulation.simulator import Cluster

SEEDS = pytest.mark.parametrize("seed", range(2))


def settled(seed: int, peers: int) -> Cluster:
    cluster = Cluster(seed, peers, latency_s=LATENCY_S)
    cluster.join_all(contacts=10)
    cluster.run_for(210)  # half-way between two shuffles
    return cluster


def reachable(cluster: Cluster) -> set[int]:
    """Return who is connected with the first node alive, by way of neighbors alive."""
    alive = set(cluster.alive)
    found, todo = {cluster.alive[0]}, [cluster.alive[0]]
    while todo:
        for peer in alive.intersection(cluster.neighbors(todo.pop())) - found:
            found.add(peer)
            todo.append(peer)
    return found


# HyParView


@SEEDS
def test_active_views_connect_everybody(seed: int) -> None:
    cluster = settled(seed, 500)
    assert reachable(cluster) == set(cluster.alive)


@SEEDS
def test_active_views_are_symmetric(seed: int) -> None:
    """If q is in the active view of p, p is in that of q."""
    cluster = settled(seed, 300)
    edges = {(one, other) for one in cluster.alive for other in cluster.neighbors(one)}
    assert edges == {(other, one) for one, other in edges}


@SEEDS
def test_in_degree_is_about_the_same_everywhere(seed: int) -> None:
    """The contact that all others joined by is no hub afterwards."""
    cluster = Cluster(seed, 300, latency_s=LATENCY_S)
    cluster.join_all()
    cluster.run_for(210)
    named = Counter(peer for index in cluster.alive for peer in cluster.neighbors(index))
    assert set(named) == set(cluster.alive)
    assert max(named.values()) <= OURS.active_view_capacity


@SEEDS
def test_a_message_reaches_all_by_flooding_active_views_without_any_fault(seed: int) -> None:
    cluster = settled(seed, 500)
    assert cluster.round((cluster.alive[7], b"flood")).missed == 0


@SEEDS
def test_80_percent_may_fail_at_once_and_all_survivors_stay_connected(seed: int) -> None:
    cluster = settled(seed, 500)
    cluster.crash(400)
    cluster.run_for(30)
    assert reachable(cluster) == set(cluster.alive)


@SEEDS
def test_95_percent_may_fail_at_once_and_most_survivors_stay_connected(seed: int) -> None:
    """One in six has only dead peers among the 35 that it knows: 0.95 to the power of 35."""
    cluster = settled(seed, 1000)
    cluster.crash(950)
    cluster.run_for(30)
    islands = len(cluster.alive) - len(reachable(cluster))
    together = max(islands, len(cluster.alive) - islands)
    assert together / len(cluster.alive) > 0.7


@SEEDS
def test_a_failed_neighbor_is_replaced_from_the_passive_view(seed: int) -> None:
    cluster = settled(seed, 100)
    before = {index: set(cluster.addresses(index)) for index in cluster.alive}
    lost = cluster.neighbors(cluster.alive[0])[0]
    orphans = cluster.neighbors(lost)
    had = {index: set(cluster.neighbors(index)) for index in orphans}
    cluster.stop([lost])
    cluster.run_for(10)
    new = {index: set(cluster.neighbors(index)) - had[index] for index in orphans}
    assert any(new.values())
    assert all(
        peer in before[index] or index in before[peer] for index in orphans for peer in new[index]
    )


@SEEDS
def test_a_node_without_neighbors_is_never_refused(seed: int) -> None:
    """A request of high priority is always accepted (p. 5)."""
    cluster = settled(seed, 100)
    lonely = cluster.alive[0]
    cluster.stop(cluster.neighbors(lonely))
    cluster.run_for(5)
    assert cluster.neighbors(lonely)


@SEEDS
def test_shuffles_put_every_live_node_into_passive_views(seed: int) -> None:
    cluster = settled(seed, 200)
    cluster.run_for(300)
    named = {peer for index in cluster.alive for peer in cluster.addresses(index)}
    assert named == set(cluster.alive)


def test_walks_are_no_longer_than_configured() -> None:
    """A ForwardJoin starts with 6 steps to live, a Shuffle too (p. 9)."""
    seen: dict[type[Message], set[int]] = {ForwardJoin: set(), Shuffle: set()}

    def note(message: Message) -> None:
        if isinstance(message, ForwardJoin | Shuffle):
            seen[type(message)].add(message.ttl)

    cluster = Cluster(0, 100)
    cluster.on_message = note
    cluster.join_all(contacts=10)
    cluster.run_for(120)
    assert seen == {ForwardJoin: set(range(7)), Shuffle: set(range(7))}


# PlumTree


def redundancies_of(cluster: Cluster, author: int, rounds: int, said: bytes = b"%d") -> list[float]:
    """Return the redundancy of each round of one author's messages."""
    return [cluster.round((author, said % n)).redundancy_in_paper for n in range(rounds)]


@SEEDS
def test_the_first_message_floods_and_prunes_leave_a_tree_without_redundancy(seed: int) -> None:
    """RMR nears 0 in steady state with one sender; flooding has about the fan-out less 1."""
    redundancies = redundancies_of(settled(seed, 300), 7, 20)
    assert redundancies[0] > 1.5
    assert mean(redundancies[10:]) < 0.02


@SEEDS
def test_eager_links_form_one_tree_that_spans_all(seed: int) -> None:
    cluster = settled(seed, 200)
    redundancies_of(cluster, 7, 20)
    cluster.run_for(1)
    edges = {
        frozenset((index, cluster.number(peer)))
        for index in cluster.alive
        for peer in cluster.topics[index].plumtree.eager
    }
    assert len(edges) == pytest.approx(len(cluster.alive) - 1, rel=0.02)
    assert cluster.round((7, b"along the tree")).missed == 0


@SEEDS
def test_a_message_takes_hardly_more_hops_in_the_tree_than_in_a_flood(seed: int) -> None:
    """LDH close to that of flat gossip: the tree is made of the edges that were first."""
    cluster = settled(seed, 300)
    flood = cluster.round((7, b"flood")).last_delivery_hop
    rounds = [cluster.round((7, b"%d" % n)) for n in range(20)]
    assert mean(it.last_delivery_hop for it in rounds[10:]) <= flood * 1.5


@SEEDS
def test_lazy_links_repair_the_tree_when_a_relay_dies(seed: int) -> None:
    """A missing message is asked for by Graft, of who announced it by IHave (p. 9)."""
    cluster = settled(seed, 200)
    redundancies_of(cluster, 7, 10)
    said: Counter[type[Message]] = Counter()
    relay = next(
        cluster.number(peer)
        for peer in cluster.topics[7].plumtree.eager
        if len(cluster.topics[cluster.number(peer)].plumtree.eager) > 2
    )
    # Nobody notices the death for a minute, so that only Grafts can help.
    cluster.stop([relay], noticed_within_s=60)
    cluster.on_message = lambda message: said.update([type(message)])
    assert cluster.round((7, b"repaired")).missed == 0
    assert (said[IHave] > 0, said[Graft] > 0) == (True, True)


@SEEDS
def test_a_repaired_tree_is_lean_again(seed: int) -> None:
    cluster = settled(seed, 300)
    redundancies_of(cluster, 7, 10)
    cluster.stop([it for it in cluster.rng.sample(cluster.alive, 60) if it != 7])
    cluster.run_for(10)
    redundancies = redundancies_of(cluster, 7, 20, said=b"again %d")
    assert mean(redundancies[10:]) < 0.1


@SEEDS
def test_heals_after_80_percent_have_failed(seed: int) -> None:
    cluster = settled(seed, 500)
    redundancies_of(cluster, 7, 5)
    cluster.crash(400)
    cluster.run_for(30)
    assert cluster.round((cluster.alive[0], b"healed")).missed == 0


@SEEDS
def test_a_duplicate_is_answered_by_prune_and_by_nothing_else(seed: int) -> None:
    cluster = settled(seed, 100)
    said: Counter[type[Message]] = Counter()
    cluster.on_message = lambda message: said.update([type(message)])
    first = cluster.round((7, b"first"))
    cluster.run_for(0.1)
    duplicates = first.payloads - first.wanted
    # The rest were still under way when everybody had the message.
    assert said[Prune] >= duplicates > 0
