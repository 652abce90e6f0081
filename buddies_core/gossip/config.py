"""The numbers of the protocol, and where we depart from iroh-gossip.

Nothing here changes a byte on the wire: nodes with different configurations share a topic.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipConfig:
    """What a node does when; the defaults are ours, and `EXACT` lists all that differs in Rust."""

    # Sizes: HyParView, p. 9, where 10,000 nodes were simulated with them.
    active_view_capacity: int = 5
    passive_view_capacity: int = 30
    active_random_walk_length: int = 6
    passive_random_walk_length: int = 3
    shuffle_random_walk_length: int = 6
    shuffle_active_view_count: int = 3
    shuffle_passive_view_count: int = 4
    # Times: iroh-gossip calls them a wild guess.
    shuffle_interval_s: float = 60.0
    neighbor_request_timeout_s: float = 0.5

    # Times: the first wait must exceed what the tree needs to deliver, and is iroh-gossip's. It
    # turns to the next announcer after 0.04 s, which is less than a round trip of many pairs: so
    # the first one's answer is still under way, and both bring the message.
    graft_timeout_1_s: float = 0.08
    graft_timeout_2_s: float = 0.08
    dispatch_timeout_s: float = 0.005
    cache_evict_interval_s: float = 1.0
    message_id_retention_s: float = 90.0
    # PlumTree, p. 12.
    optimization_threshold_rounds: int = 7
    # What fits into a frame of 4096 bytes: ⌊(4096 - 36) / 35⌋.
    announcements_per_frame: int = 116

    # From here on: where we do better than Rust does.

    # A new neighbor hears of the newest cached messages: so one whose first receivers all died is
    # still repaired, and a joiner gets what was said a moment before. Rust tells it nothing. As
    # each of those who learn of a message so may tell it on, it would never die while nodes keep
    # joining, and be delivered anew to all that have forgotten its id. Hence each second in a cache
    # adds to its `round`, the one thing that travels with it and grows, and one that has come to a
    # limit is told to nobody new: an age in seconds at most, and below the retention of ids.
    announced_to_new_neighbor_max: int = 1000
    announced_rounds_max: int = 60
    message_cache_retention_s: float = 60.0
    # A Neighbor that we sent counts as a request under way until it is answered, the peer is
    # evicted, or this time has passed; and a neighbor with such a request fills one place, not two.
    # In Rust it counts until the answer; but an answer gets none itself, so half of them stay: no
    # replacement is sought for lost neighbors, and a later Neighbor goes unanswered. The time must
    # exceed a round trip, as it also keeps two nodes from answering each other for ever. An answer
    # from a peer that was evicted meanwhile is refused. Rust takes it, though that peer has been
    # told the contrary, and so, when many join at once, gets neighbors that are deaf to it.
    forget_stale_requests: bool = True
    neighbor_answer_wait_s: float = 5.0
    # If a peer that was asked to be a neighbor can't be reached, another one is asked. In Rust only
    # if it stays silent: a dial that fails before the time-out ends the search.
    refill_after_failed_request: bool = True
    # Only neighbors get contents and announcements. In Rust whoever announces or asks is served
    # from then on, and a connection to a stranger is held, or opened again, for that alone.
    only_neighbors_in_tree: bool = True
    # A connection is closed only if no topic needs it, as a neighbor's or for a request under way.
    disconnect_only_unused_peers: bool = True
    # A neighbor that has announced a message has it, so it is neither sent it nor told of it. Rust
    # pushes it all the same along an edge that has just been grafted, and gets a Prune.
    spares_announcers: bool = True
    # Who quits sends its lazy neighbors whole what they may not have grafted yet: the newest of
    # what is this young. In Rust, whoever only announced its goodbye is gone when they ask.
    pushed_on_quit_max: int = 16
    pushed_on_quit_age_s: float = 0.25
    # What others say of a peer never replaces what the peer has said of itself. In Rust the latest
    # word counts, and one made-up ShuffleReply sends everybody to the wrong addresses.
    keep_first_hand_data: bool = True
    # What peers can make one topic hold, however much they send; Rust knows no such limits.
    # Of how many peers the data is remembered, oldest forgotten first: peers can name any number.
    peer_data_kept_max: int = 1000
    # How many of those that are named by others may be asked to be a neighbor at one time.
    forwarded_requests_max: int = 64
    # Announced ids that are waited for, those first named by one peer, and announcers of each; what
    # is beyond is ignored. A new neighbor announces 1,000 at most.
    missing_ids_max: int = 8192
    missing_ids_per_peer_max: int = 1024
    announcers_per_id_max: int = 16
    # A peer that repeats an announcement is one announcer. In Rust it takes a place each time.
    distinct_announcers: bool = True
    # Ids and contents that are remembered, oldest forgotten first: four thousand whole frames.
    message_ids_max: int = 100_000
    cached_bytes_max: int = 16 * 1024 * 1024


OURS = GossipConfig()
"""What the product runs with."""

EXACT = GossipConfig(
    graft_timeout_2_s=0.04,
    announced_to_new_neighbor_max=0,
    announced_rounds_max=0,
    message_cache_retention_s=30.0,
    forget_stale_requests=False,
    refill_after_failed_request=False,
    only_neighbors_in_tree=False,
    disconnect_only_unused_peers=False,
    spares_announcers=False,
    pushed_on_quit_max=0,
    keep_first_hand_data=False,
    peer_data_kept_max=2**63,
    forwarded_requests_max=2**63,
    missing_ids_max=2**63,
    missing_ids_per_peer_max=2**63,
    distinct_announcers=False,
    announcers_per_id_max=2**63,
    message_ids_max=2**63,
    cached_bytes_max=2**63,
)
"""What iroh-gossip 0.101 does."""
