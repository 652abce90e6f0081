"""A set of peers that can be drawn from."""

import random

from buddies_core.gossip.view import View
from buddies_core.model.ids import EndpointId

PEERS = [EndpointId(bytes([n])) for n in range(8)]


def test_a_view_is_a_set_whatever_the_order_of_changes() -> None:
    rng = random.Random(1)
    view, model = View(), set()
    for _ in range(2000):
        peer = rng.choice(PEERS)
        if peer in model or rng.random() < 0.3:
            view.discard(peer)
            model.discard(peer)
        else:
            view.add(peer)
            model.add(peer)
        assert (set(view), len(view), peer in view) == (model, len(model), peer in model)


def test_a_view_gives_each_member_equally_often() -> None:
    view, rng = View(), random.Random(1)
    for peer in PEERS[:5]:
        view.add(peer)
    drawn = [view.random(rng) for _ in range(5000)]
    assert all(850 < drawn.count(peer) < 1150 for peer in PEERS[:5])
