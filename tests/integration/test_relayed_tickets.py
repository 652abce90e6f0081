"""Tickets of a whole daemon that has a relay."""

from buddies_core.model.address import AddressInfo
from buddies_core.model.room import Ticket
from buddies_core.wire.tickets import decode_ticket
from tests.support.memories import DEMO
from tests.support.worlds.person import some_person
from tests.support.worlds.relay import a_relay
from tests.support.worlds.whole_daemon import a_whole_daemon


def leads_to(text: str) -> AddressInfo:
    """Return where the ticket says that the one who gave it is."""
    ticket = decode_ticket(text)
    assert isinstance(ticket, Ticket)
    return ticket.endpoints[0].info


async def test_the_ticket_of_the_first_join_after_the_start_names_the_relay() -> None:
    with some_person() as alice:
        async with (
            a_relay() as relay,
            a_whole_daemon(alice.home, {"BUDDIES_RELAY_URL": relay.url}) as daemon,
        ):
            joined = await daemon.client.join_room(DEMO)

            assert joined.warnings == ()
            assert leads_to(joined.ticket).relay_url == relay.url
            assert (await daemon.client.room_ticket(DEMO)).warnings == ()


async def test_a_ticket_without_the_relay_says_so() -> None:
    with some_person() as alice:
        relay = {"BUDDIES_RELAY_URL": "http://127.0.0.1:9/"}
        async with a_whole_daemon(alice.home, relay) as daemon:
            joined = await daemon.client.join_room(DEMO)
            asked = await daemon.client.room_ticket(DEMO)

    for ticket, warnings in ((joined.ticket, joined.warnings), (asked.ticket, asked.warnings)):
        assert leads_to(ticket).relay_url is None
        [warning] = warnings
        assert warning.startswith("this machine does not know yet how machines in other networks")
        assert warning.endswith(f"buddies-cli ticket {DEMO}")
