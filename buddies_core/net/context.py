"""What all parts of one network share."""

from collections import Counter
from dataclasses import dataclass, field

from buddies_core.clock import Clock
from buddies_core.net.address_book import AddressBook
from buddies_core.net.iroh_calls import IrohCalls
from buddies_core.net.links import Links
from buddies_core.net.timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class NetContext:
    """One of each, made anew for each network."""

    clock: Clock
    timing: Timing
    calls: IrohCalls = field(default_factory=IrohCalls)
    book: AddressBook = field(default_factory=AddressBook)
    links: Links = field(default_factory=Links)
    counters: Counter[str] = field(default_factory=Counter)
    """What peers did wrong and what was given up, by name."""
