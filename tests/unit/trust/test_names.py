import pytest

from buddies_core.errors import InvalidInput
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.ids import EndpointId, RoomName, topic_of
from buddies_core.model.room import STATUS_BYTES_MAX, Ticket
from buddies_core.trust.names import members_named, room_name, status_text, way_into
from buddies_core.wire.tickets import encode_ticket

ME, BOB, BORIS, ROBERT = (
    EndpointId(bytes.fromhex(start).ljust(32, b"\0"))
    for start in ("aa", "bbbb1111", "bbbb2222", "cc")
)
MEMBERS = {ME: "me", BOB: "bob", BORIS: "boris", ROBERT: "bob"}


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("feature-a", "feature-a"),
        (" feature-a\n", "feature-a"),
        ("\ufefffeature-a\u200b", "feature-a"),
        ("\u200b \u00a0feature a\u2060\t\u3164", "feature a"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\u212b", "\u00c5"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("1\ufe0f\u20e3-team", "1\ufe0f\u20e3-team"),
        ("\u0440\u0443\u0441", "\u0440\u0443\u0441"),
        ("`a`", "`a`"),
        ("a\ufe0f", "a"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
    ],
)
def test_a_name_is_what_is_seen_of_it_in_composed_form(typed: str, name: str) -> None:
    assert room_name(typed) == name
    assert room_name(name) == name


@pytest.mark.parametrize(
    ("typed", "code_point"),
    [
        ("a\u200bb", "U+200B"),
        ("a\u200db", "U+200D"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00adb", "U+00AD"),
        ("a\u034fb", "U+034F"),
        ("a\u3164b", "U+3164"),
        ("a\u2800b", "U+2800"),
        ("a\ufe0fb", "U+FE0F"),
        ("a\ufe00b", "U+FE00"),
        ("a\U000e0100b", "U+E0100"),
        ("a\U000e0061b", "U+E0061"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\u00a0b", "U+00A0"),
        ("a\u2028b", "U+2028"),
        ("a\x1b[1m", "U+001B"),
        ("a\ue000b", "U+E000"),
    ],
)
def test_a_name_with_something_unseen_in_it_is_refused_with_what_that_is(
    typed: str, code_point: str
) -> None:
    with pytest.raises(InvalidInput, match="which cannot be seen or told from a space") as refused:
        room_name(typed)
    assert code_point in str(refused.value).partition(" contains ")[2].partition(",")[0]


@pytest.mark.parametrize("typed", ["", " ", "\ufeff", "\u200b\u200b", "\n\t", "\u3164"])
def test_a_name_of_which_nothing_is_seen_is_empty(typed: str) -> None:
    with pytest.raises(InvalidInput, match="room is empty"):
        room_name(typed)


def test_the_length_counts_in_composed_form() -> None:
    assert len(room_name("e\u0301" * 128).encode()) == 256
    with pytest.raises(InvalidInput, match="room is 258 bytes long, 256 are allowed"):
        room_name("e\u0301" * 129)


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["boris"], (BORIS,)),
        ([" BBBB1111 "], (BOB,)),
        (["bbbb2222", "boris", "cc000000"], (BORIS, ROBERT)),
    ],
)
def test_members_are_named_by_name_or_by_how_their_id_begins(
    texts: list[str], meant: tuple[EndpointId, ...]
) -> None:
    assert members_named(texts, MEMBERS, ME) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("me", "'me' is this machine; to go, leave the room: buddies-cli leave"),
        (
            "bob",
            "'bob' is more than one member; name one by how its endpoint id begins, 8 digits "
            "or more: bob (bbbb111100), bob (cc00000000)",
        ),
        (
            "carol",
            "'carol' is no member of the room; name one by how its endpoint id begins, 8 "
            "digits or more: bob (bbbb111100), boris (bbbb222200), bob (cc00000000)",
        ),
        (
            "bbbb",
            "'bbbb' is no member of the room; name one by how its endpoint id begins, 8 "
            "digits or more: bob (bbbb111100), boris (bbbb222200), bob (cc00000000)",
        ),
        (
            "bbbb111z",
            "'bbbb111z' is no member of the room; name one by how its endpoint id "
            "begins, 8 digits or more: bob (bbbb111100), boris (bbbb222200), "
            "bob (cc00000000)",
        ),
    ],
)
def test_a_text_that_names_no_single_other_member_is_refused_with_whom_it_might_mean(
    text: str, why: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        members_named([text], MEMBERS, ME)
    assert str(refused.value) == why


def test_a_status_may_take_so_many_bytes_and_must_say_something() -> None:
    longest = "\u00e9" * (STATUS_BYTES_MAX // 2)
    assert status_text(longest) == longest
    with pytest.raises(InvalidInput, match=f"text is {STATUS_BYTES_MAX + 2} bytes long"):
        status_text(longest + "\u00e9")
    with pytest.raises(InvalidInput, match="text is empty"):
        status_text(" \n")


def ticket(room: str, leads_to: str = "", endpoints: int = 1) -> str:
    name = RoomName(room)
    peers = (PeerAddress(BOB, AddressInfo()),) * endpoints
    return encode_ticket(Ticket(name, topic_of(RoomName(leads_to) if leads_to else name), peers))


def test_a_ticket_for_another_spelling_of_the_name_leads_into_the_room() -> None:
    assert way_into(RoomName("caf\u00e9"), ticket("cafe\u0301"), private=False).room == "cafe\u0301"


@pytest.mark.parametrize(
    ("text", "private", "why"),
    [
        (ticket("demo"), True, "the ticket is for room 'demo', not 'caf\u00e9'; join 'demo'"),
        (ticket("demo"), False, "the ticket is for room 'demo', not 'caf\u00e9'; join 'demo'"),
        (ticket("a"), False, "the ticket is for room 'a', not 'caf\u00e9'; join 'a'"),
        (ticket("caf\u00e9"), True, "the ticket is for the open room 'caf\u00e9'; leave out"),
        (ticket("caf\u00e9", leads_to="demo"), False, "but leads elsewhere; it is damaged or"),
        (ticket("caf\u00e9", endpoints=0), False, "names nobody who is in room 'caf\u00e9'"),
    ],
)
def test_a_ticket_that_does_not_lead_into_this_room_is_refused_with_where_it_leads(
    text: str, private: bool, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        way_into(RoomName("caf\u00e9"), text, private=private)
