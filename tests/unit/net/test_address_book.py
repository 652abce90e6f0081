from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId
from buddies_core.net.address_book import ADDRESSES_PER_PEER_MAX, PEERS_MAX, AddressBook

PEER = EndpointId(b"p" * 32)


def _at(port: int, relay: str | None = None) -> PeerAddress:
    return PeerAddress(PEER, AddressInfo(relay, (SocketAddress("127.0.0.1", port),)))


def test_addresses_add_up_with_the_newest_first() -> None:
    book = AddressBook()
    for port in (1, 2, 1):
        book.learn(_at(port))
    ports = [address.port for address in book.known(PEER).direct]
    assert ports == [1, 2]


def test_a_relay_stays_until_another_is_named() -> None:
    book = AddressBook()
    for address in (_at(1, "https://a/"), _at(1), _at(1, "https://b/"), _at(1)):
        book.learn(address)
    assert book.known(PEER).relay_url == "https://b/"


def test_of_too_many_addresses_the_oldest_are_forgotten() -> None:
    book = AddressBook()
    for port in range(1, ADDRESSES_PER_PEER_MAX + 3):
        book.learn(_at(port))
    ports = [address.port for address in book.known(PEER).direct]
    assert ports == list(range(ADDRESSES_PER_PEER_MAX + 2, 2, -1))


def test_an_address_that_nobody_can_send_to_is_not_kept() -> None:
    book = AddressBook()
    book.learn(_at(0))
    assert book.known(PEER) == AddressInfo()


def test_of_too_many_peers_the_one_not_heard_of_for_longest_is_forgotten() -> None:
    book = AddressBook()
    peers = [EndpointId(number.to_bytes(32, "big")) for number in range(PEERS_MAX + 1)]
    info = AddressInfo("https://a/")
    for peer in (*peers[:PEERS_MAX], peers[0], peers[PEERS_MAX]):
        book.learn(PeerAddress(peer, info))
    forgotten = [number for number, peer in enumerate(peers) if book.known(peer) != info]
    assert forgotten == [1]
