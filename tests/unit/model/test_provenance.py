from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Provenance

ALICE, BOB = EndpointId(b"a" * 32), EndpointId(b"b" * 32)


def test_the_lowest_rank_goes_first_and_of_one_rank_the_oldest() -> None:
    table: Provenance[str] = Provenance(entries_max=3, per_neighbor_max=3)
    assert [table.admit(key, rank) for key, rank in (("a", 1), ("b", 0), ("c", 1))] == [()] * 3
    assert table.admit("d", 1) == ("b",)
    assert table.admit("e", 1) == ("a",)


def test_an_entry_that_comes_again_is_the_newest_of_its_rank() -> None:
    table: Provenance[str] = Provenance(entries_max=2, per_neighbor_max=2)
    for key in ("a", "b", "a"):
        table.admit(key, 0)
    assert table.admit("c", 0) == ("b",)


def test_nothing_goes_for_an_entry_that_is_trusted_less() -> None:
    table: Provenance[str] = Provenance(entries_max=1, per_neighbor_max=1)
    table.admit("a", 1)
    assert (table.admit("b", 0), "a" in table, "b" in table) == (("b",), True, False)


def test_a_neighbor_over_its_share_loses_what_it_brought_in_itself() -> None:
    table: Provenance[str] = Provenance(entries_max=10, per_neighbor_max=2)
    table.admit("alices", 0, ALICE)
    assert [table.admit(key, 0, BOB) for key in "abc"] == [(), (), ("a",)]
    table.admit("b", 1, ALICE)  # It counts for who brought it in, and has risen.
    assert table.admit("d", 0, BOB) == ("c",)
    assert [key for key in ("alices", "b", "d") if key in table] == ["alices", "b", "d"]


def test_an_entry_keeps_the_highest_rank_it_had() -> None:
    table: Provenance[str] = Provenance(entries_max=2, per_neighbor_max=2)
    table.admit("a", 2)
    table.admit("a", 0)
    assert (table.rank("a"), table.rank("b")) == (2, None)


def test_what_is_forgotten_makes_room() -> None:
    table: Provenance[str] = Provenance(entries_max=1, per_neighbor_max=1)
    table.admit("a", 1, BOB)
    table.forget("a")
    table.forget("a")
    assert table.admit("b", 0, BOB) == ()
