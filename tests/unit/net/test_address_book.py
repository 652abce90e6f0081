from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Source
from buddies_core.net.address_book import (
    ADDRESSES_PER_PEER_MAX,
    HEARD_PER_PEER_MAX,
    PEERS_MAX,
    PEERS_PER_NEIGHBOR_MAX,
    AddressBook,
)

PEER, MALLORY, BOB = (EndpointId(name * 32) for name in (b"p", b"m", b"b"))


def _at(*ports: int, relay: str | None = None) -> PeerAddress:
    return PeerAddress(PEER, AddressInfo(relay, _sockets(ports)))


def _sockets(ports: tuple[int, ...]) -> tuple[SocketAddress, ...]:
    return tuple(SocketAddress("127.0.0.1", port) for port in ports)


def test_addresses_from_one_source_add_up_with_the_newest_first() -> None:
    book = AddressBook()
    for port in (1, 2, 1):
        book.learn(_at(port), Source.SIGNED)
    assert book.known(PEER).direct == _sockets((1, 2))


def test_a_relay_stays_until_another_is_named() -> None:
    book = AddressBook()
    for relay in ("https://a/", None, "https://b/", None):
        book.learn(_at(1, relay=relay), Source.SIGNED)
    assert book.known(PEER).relay_url == "https://b/"


def test_what_others_say_of_a_peer_replaces_nothing_that_it_says_itself() -> None:
    book = AddressBook()
    book.learn(_at(*range(1, 13), relay="https://own/"), Source.SIGNED)
    made_up = _at(*range(100, 200), relay="https://wrong/")
    book.learn(made_up, Source.HEARD, MALLORY)
    known = book.known(PEER)
    assert known.relay_url == "https://own/"
    assert known.direct[:12] == _sockets(tuple(range(1, 13)))
    assert len(known.direct) == 12 + HEARD_PER_PEER_MAX


def test_a_ticket_gets_the_peers_own_addresses_and_dialled_ones_and_no_hearsay() -> None:
    book = AddressBook()
    book.learn(_at(3, relay="https://wrong/"), Source.HEARD, MALLORY)
    assert (book.known(PEER).direct, book.vouched(PEER)) == (_sockets((3,)), AddressInfo())
    book.learn(_at(2), Source.DIALLED)
    book.learn(_at(1), Source.SIGNED)
    assert book.vouched(PEER) == AddressInfo(direct=_sockets((1, 2)))
    assert book.known(PEER) == AddressInfo("https://wrong/", _sockets((1, 2, 3)))


def test_hearsay_keeps_a_few_places_however_many_addresses_a_peer_has() -> None:
    book = AddressBook()
    own = tuple(range(1, ADDRESSES_PER_PEER_MAX + 1))
    book.learn(_at(*own), Source.SIGNED)
    book.learn(_at(99), Source.HEARD, BOB)
    assert book.known(PEER).direct == _sockets((*own[:-1], 99))


def test_of_too_many_addresses_the_oldest_are_forgotten() -> None:
    book = AddressBook()
    for port in range(1, ADDRESSES_PER_PEER_MAX + 3):
        book.learn(_at(port), Source.SIGNED)
    assert book.known(PEER).direct == _sockets(tuple(range(ADDRESSES_PER_PEER_MAX + 2, 2, -1)))


def test_an_address_that_nobody_can_send_to_is_not_kept() -> None:
    book = AddressBook()
    book.learn(_at(0), Source.SIGNED)
    assert book.known(PEER) == AddressInfo()


def test_one_neighbor_can_name_so_many_peers_and_pushes_out_those_it_named_before() -> None:
    book = AddressBook()
    info = AddressInfo("https://a/")
    book.learn(PeerAddress(PEER, info), Source.HEARD, BOB)
    made_up = [EndpointId(number.to_bytes(32, "big")) for number in range(PEERS_MAX)]
    for peer in made_up:
        book.learn(PeerAddress(peer, info), Source.HEARD, MALLORY)
    assert book.known(PEER) == info
    assert [peer for peer in made_up if book.known(peer) == info] == made_up[
        -PEERS_PER_NEIGHBOR_MAX:
    ]


def test_a_full_book_forgets_peers_known_by_hearsay_first_and_then_the_oldest() -> None:
    book = AddressBook()
    info = AddressInfo("https://a/")
    peers = [EndpointId(number.to_bytes(32, "big")) for number in range(PEERS_MAX + 1)]
    book.learn(PeerAddress(PEER, info), Source.HEARD, BOB)
    for peer in (*peers[:PEERS_MAX], peers[0], peers[PEERS_MAX]):
        book.learn(PeerAddress(peer, info), Source.SIGNED)
    forgotten = [number for number, peer in enumerate(peers) if book.known(peer) != info]
    assert (forgotten, book.known(PEER)) == ([1], AddressInfo())
