"""The node that a room lives on, with a network and a store in memory."""

from collections import Counter
from random import Random

from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.legacy.members import LegacyMembers
from buddies_core.model.identity import Binding
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.ports import Host
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate
from buddies_core.trust.policies import Policies
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.network import FakeNetwork
from tests.support.in_memory.store import InMemoryStore


def a_host(
    key: NodeKey, user: str, store: InMemoryStore | None = None, own: Binding | None = None
) -> Host:
    """Return a node with this key; one that is given the store of another goes on as that."""
    store = store or InMemoryStore()
    clock = ManualClock()
    counters: Counter[str] = Counter()
    verify = Verifier({}, clock).verify
    policies = Policies(store)
    bindings = Bindings(store, verify, counters, key.endpoint, own, policies)
    gate = Gate(policies, bindings, key.endpoint, clock, counters)
    return Host(
        endpoint=key.endpoint,
        user=user,
        network=FakeNetwork(key.endpoint),
        store=store,
        composer=Composer(key, store, clock),
        admission=Admission(store, verify, counters, gate),
        clock=clock,
        rng=Random(1),
        counters=counters,
        bindings=bindings,
        gate=gate,
        legacy=LegacyMembers(store, clock),
    )
