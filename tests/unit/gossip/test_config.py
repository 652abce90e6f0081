"""The numbers of iroh-gossip, and which of them we change."""

from dataclasses import fields

from buddies_core.gossip.config import EXACT, OURS


def test_exact_has_the_numbers_of_iroh_gossip() -> None:
    numbers = {field.name: getattr(EXACT, field.name) for field in fields(EXACT)}
    assert numbers == {
        "active_view_capacity": 5,
        "passive_view_capacity": 30,
        "active_random_walk_length": 6,
        "passive_random_walk_length": 3,
        "shuffle_random_walk_length": 6,
        "shuffle_active_view_count": 3,
        "shuffle_passive_view_count": 4,
        "shuffle_interval_s": 60,
        "neighbor_request_timeout_s": 0.5,
        "graft_timeout_1_s": 0.08,
        "graft_timeout_2_s": 0.04,
        "dispatch_timeout_s": 0.005,
        "cache_evict_interval_s": 1,
        "optimization_threshold_rounds": 7,
        "announcements_per_frame": 116,
        "message_cache_retention_s": 30,
        "message_id_retention_s": 90,
        "announced_to_new_neighbor_max": 0,
        "announced_rounds_max": 0,
        "forget_stale_requests": False,
        "neighbor_answer_wait_s": 5,
        "refill_after_failed_request": False,
        "only_neighbors_in_tree": False,
        "disconnect_only_unused_peers": False,
        "spares_announcers": False,
        "pushed_on_quit_max": 0,
        "keep_first_hand_data": False,
        "pushed_on_quit_age_s": 0.25,
        "peer_data_kept_max": 2**63,
        "forwarded_requests_max": 2**63,
        "missing_ids_max": 2**63,
        "missing_ids_per_peer_max": 2**63,
        "distinct_announcers": False,
        "announcers_per_id_max": 2**63,
        "message_ids_max": 2**63,
        "cached_bytes_max": 2**63,
    }


def test_ours_keeps_the_views_and_the_first_timer_of_the_tree() -> None:
    changed = {
        field.name
        for field in fields(OURS)
        if getattr(OURS, field.name) != getattr(EXACT, field.name)
    }
    assert changed == {
        "graft_timeout_2_s",
        "spares_announcers",
        "message_cache_retention_s",
        "announced_to_new_neighbor_max",
        "announced_rounds_max",
        "forget_stale_requests",
        "refill_after_failed_request",
        "only_neighbors_in_tree",
        "pushed_on_quit_max",
        "keep_first_hand_data",
        "disconnect_only_unused_peers",
        "peer_data_kept_max",
        "forwarded_requests_max",
        "missing_ids_max",
        "missing_ids_per_peer_max",
        "distinct_announcers",
        "announcers_per_id_max",
        "message_ids_max",
        "cached_bytes_max",
    }
