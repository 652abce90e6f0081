import asyncio
from collections.abc import Awaitable, Callable

import iroh
import pytest

from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
    NotAllowed,
    NotFound,
    TimedOut,
    Unreachable,
)
from buddies_core.model.ids import EndpointId, short
from buddies_core.net.binding import DIRECT_ALPN, GOSSIP_ALPN
from buddies_core.net.direct import (
    REQUESTS_BURST,
    REQUESTS_PER_PEER_MAX,
    REQUESTS_PER_S,
    DirectUnsupported,
)
from buddies_core.net.exchange import ABANDONED_MAX, ITEMS_MAX, REPLIES_MAX, REPLY_BYTES_MAX
from buddies_core.net.incoming import IncomingRequest
from buddies_core.net.network import Network
from buddies_core.net.timing import Timing
from buddies_core.pb.peer_pb2 import (
    BindingsReply,
    FetchMemory,
    Found,
    Hello,
    HelloReply,
    Part,
    PeerReply,
    PeerRequest,
    Ping,
    PresenceCopy,
    Refusal,
    Search,
    SearchReply,
)
from buddies_core.wire.frames import frame
from tests.support.eventually import until
from tests.support.worlds.networks import a_mute_port, a_network, a_raw_peer, at_port, id_of

REQUEST = PeerRequest(hello=Hello(presence=b"me"))
PING = PeerRequest(ping=Ping())


async def answer_one(network: Network, *replies: PeerReply) -> IncomingRequest:
    """Answer the next request, and return it."""
    request = await network.next_request()
    await request.reply(*replies)
    return request


async def test_an_answer_arrives_with_all_its_replies() -> None:
    parts = [PeerReply(memory_part=Part(content=bytes([number]) * 200_000)) for number in range(8)]
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        async with asyncio.TaskGroup() as group:
            answered = group.create_task(answer_one(bob, *parts))
            replies = await alice.ask(bob.endpoint, REQUEST, 5)
        assert replies == parts
        assert [reply.end for reply in replies] == [False] * 7 + [True]
        incoming = answered.result()
        assert (incoming.caller, incoming.request) == (alice.endpoint, REQUEST)


async def test_requests_go_both_ways_on_one_connection_whoever_made_it() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        for asker, answerer in ((alice, bob), (bob, alice), (alice, bob)):
            async with asyncio.TaskGroup() as group:
                group.create_task(answer_one(answerer))
                assert await asker.ask(answerer.endpoint, REQUEST, 5) == [PeerReply(end=True)]
        assert (len(alice._context.links), len(bob._context.links)) == (1, 1)


async def test_a_ping_is_answered_without_the_application() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        pong = await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 5)
        assert pong == [PeerReply(end=True)]


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Refusal.BUSY, Busy),
        (Refusal.NOT_ALLOWED, NotAllowed),
        (Refusal.NOT_FOUND, NotFound),
        (Refusal.INVALID, InvalidInput),
        (Refusal.UNSUPPORTED, BuddiesError),
        (Refusal.FAILED, BuddiesError),
    ],
)
async def test_a_refusal_comes_out_as_the_error_that_it_names(
    reason: Refusal.Reason.ValueType, error: type[BuddiesError]
) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())

        async def refuse() -> None:
            await (await bob.next_request()).refuse(reason, "not\ntoday")

        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())
            with pytest.raises(BuddiesError) as refused:
                await alice.ask(bob.endpoint, REQUEST, 5)
        assert type(refused.value) is error
        assert str(refused.value) == f"peer {short(bob.endpoint)} refused: not today"


async def test_a_request_of_a_kind_that_is_not_known_is_refused_as_such() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        with pytest.raises(BuddiesError, match="it may be older than yours"):
            await alice.ask(bob.endpoint, PeerRequest(topic=b"t" * 32), 5)


async def test_whoever_gives_up_on_an_answer_leaves_the_connection_usable() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        for _ in range(20):
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(alice.ask(bob.endpoint, REQUEST, 5))
                incoming = await bob.next_request()
                asking.cancel()
            await incoming.reply(PeerReply(memory_part=Part(content=bytes(100_000))))
        async with asyncio.TaskGroup() as group:
            group.create_task(answer_one(bob))
            assert await alice.ask(bob.endpoint, REQUEST, 5) == [PeerReply(end=True)]
        assert (len(alice._context.links), len(bob._context.links)) == (1, 1)


async def test_no_answer_in_time_is_told_as_such() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        with pytest.raises(TimedOut, match=f"{short(bob.endpoint)} has not answered within 0.1 s"):
            await alice.ask(bob.endpoint, REQUEST, 0.1)


async def test_a_request_that_stays_unanswered_is_refused_in_the_end() -> None:
    timing = Timing(answer_timeout_s=0.1)
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2, timing=timing) as bob:
        alice.learn(bob.address())
        with pytest.raises(BuddiesError, match=r"no answer was found within 0\.1 s"):
            await alice.ask(bob.endpoint, REQUEST, 5)
        await answer_one(bob)  # too late, and no harm done
        assert bob.counters == {"requests_unanswered": 1}


async def test_of_nine_requests_at_once_to_a_peer_the_ninth_waits_for_its_turn() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        async with asyncio.TaskGroup() as group:
            asking = [
                group.create_task(alice.ask(bob.endpoint, REQUEST, 5))
                for _ in range(REQUESTS_PER_PEER_MAX + 1)
            ]
            incoming = [await bob.next_request() for _ in asking[:-1]]
            for request in incoming:
                await request.reply()
            await answer_one(bob)
        assert [it.result() for it in asking] == [[PeerReply(end=True)]] * len(asking)
        assert bob.counters == {}


async def test_a_ping_waits_for_no_turn() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        async with asyncio.TaskGroup() as group:
            for _ in range(REQUESTS_PER_PEER_MAX):
                group.create_task(alice.ask(bob.endpoint, REQUEST, 5))
            incoming = [await bob.next_request() for _ in range(REQUESTS_PER_PEER_MAX)]
            await alice._direct.ping(bob.endpoint, 5)
            for request in incoming:
                await request.reply()


async def test_the_ninth_request_of_a_peer_at_once_is_refused_as_busy() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        asked = [await _request(connection, REQUEST) for _ in range(REQUESTS_PER_PEER_MAX)]
        incoming = [await alice.next_request() for _ in asked]
        ninth = await _request(connection, REQUEST)
        assert await _reply(ninth) == _busy("too many requests at once; try again")
        for request in incoming:
            await request.reply()
        assert [await _reply(stream) for stream in asked] == [PeerReply(end=True)] * len(asked)
        next_one = await _request(connection, REQUEST)
        await answer_one(alice)
        assert await _reply(next_one) == PeerReply(end=True)
        assert alice.counters == {"requests_refused_busy": 1}


async def test_whoever_asks_more_often_than_fifty_times_a_second_is_refused_as_busy() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        loop = asyncio.get_running_loop()
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        began_s, pongs = loop.time(), 0
        while (reply := await _reply(await _request(connection, PING))) == PeerReply(end=True):
            pongs += 1
        assert reply == _busy("too many requests in a second; try again")
        taken_s = loop.time() - began_s
        assert REQUESTS_BURST <= pongs <= REQUESTS_BURST + taken_s * REQUESTS_PER_S


async def test_we_ask_no_more_often_than_a_peer_takes_it() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        count = int(REQUESTS_BURST) + 20
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(alice.ask(bob.endpoint, REQUEST, 5))
            for _ in range(count):
                await answer_one(bob)
        assert bob.counters == {}


async def _request(connection: iroh.Connection, request: PeerRequest) -> iroh.BiStream:
    stream = await connection.open_bi()
    await stream.send().write_all(frame(request.SerializeToString()))
    return stream


async def _reply(stream: iroh.BiStream) -> PeerReply:
    data = await stream.recv().read_to_end(1000)
    return PeerReply.FromString(data[4:])


def _busy(text: str) -> PeerReply:
    return PeerReply(end=True, refusal=Refusal(reason=Refusal.BUSY, text=text))


async def test_a_request_or_reply_that_is_too_long_is_not_sent() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        with pytest.raises(InvalidInput, match="a frame of 1310"):
            await alice.ask(bob.endpoint, PeerRequest(topic=bytes(128 * 1024)), 5)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(alice.ask(bob.endpoint, REQUEST, 5))
            request = await bob.next_request()
            too_long = PeerReply(memory_part=Part(content=bytes(REPLY_BYTES_MAX)))
            with pytest.raises(InvalidInput, match="a frame of 2621"):
                await request.reply(too_long)
            await request.reply()
            assert await asking == [PeerReply(end=True)]


Answer = Callable[[iroh.BiStream], Awaitable[None]]


async def _no_end(stream: iroh.BiStream) -> None:
    await stream.send().write_all(frame(PeerReply().SerializeToString()))
    await stream.send().finish()


async def _half_a_frame(stream: iroh.BiStream) -> None:
    await stream.send().write_all(frame(PeerReply(end=True).SerializeToString())[:-1])
    await stream.send().finish()


async def _reset(stream: iroh.BiStream) -> None:
    await stream.send().reset(1)


async def _no_protobuf(stream: iroh.BiStream) -> None:
    await stream.send().write_all(frame(b"\xff\xff\xff"))


async def _too_long(stream: iroh.BiStream) -> None:
    await stream.send().write_all((REPLY_BYTES_MAX + 1).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_no_end, "broke off its answer; try again"),
        (_half_a_frame, "broke off its answer; try again"),
        (_reset, "was lost before its answer was complete"),
        (_no_protobuf, "sent an answer that makes no sense: a reply does not decode"),
        (_too_long, "sent an answer that makes no sense: a peer announced a frame of 262145 bytes"),
    ],
)
async def test_an_answer_that_is_not_whole_is_none(answer: Answer, words: str) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        alice.learn(mallory.address)

        async def serve() -> None:
            connection = await mallory.accept()
            await answer(await connection.accept_bi())
            await connection.closed()

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve())
            with pytest.raises(Unreachable, match=words):
                await alice.ask(id_of(3), REQUEST, 5)
            serving.cancel()


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"", id="nothing"),
        pytest.param((131_073).to_bytes(4, "big"), id="a request that is too long"),
        pytest.param(frame(b"\xff\xff\xff"), id="no protobuf"),
        pytest.param(frame(REQUEST.SerializeToString())[:-1], id="half a request"),
    ],
)
async def test_a_request_that_makes_no_sense_ends_the_connection(nonsense: bytes) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        stream = (await connection.open_bi()).send()
        await stream.write_all(nonsense)
        await stream.finish()
        assert await connection.closed() == "closed by peer: bad frame (code 1)"
        assert alice.counters == {"bad_requests": 1}


async def test_a_stream_in_one_direction_ends_the_connection() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        await (await connection.open_uni()).write_all(b"?")
        assert await connection.closed() == "closed by peer: bad frame (code 1)"


async def test_a_third_connection_of_a_peer_closes_the_first() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        first, *others = [await mallory.connect(alice.address(), DIRECT_ALPN) for _ in range(3)]
        assert await first.closed() == "closed by peer: too many connections or streams (code 5)"
        assert [it.close_reason() for it in others] == [None, None]


async def test_a_third_connection_closes_an_idle_one_and_none_with_a_request_in_work() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        busy = await mallory.connect(alice.address(), DIRECT_ALPN)
        request = await busy.open_bi()
        await request.send().write_all(frame(REQUEST.SerializeToString()))
        in_work = await alice.next_request()
        idle = await mallory.connect(alice.address(), DIRECT_ALPN)
        await until(lambda: len(alice._context.links) == 2)
        link = next(it for it in alice._direct._links if it is not in_work._link)
        with alice._direct._using(link):
            pass  # So it was used later than the one with the request.
        third = await mallory.connect(alice.address(), DIRECT_ALPN)
        assert await idle.closed() == "closed by peer: too many connections or streams (code 5)"
        await in_work.reply()
        answer = await request.recv().read_to_end(100)
        assert answer == frame(PeerReply(end=True).SerializeToString())
        assert third.close_reason() is None


async def test_a_peer_whose_connection_was_closed_is_dialled_again() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        for _ in range(2):
            async with a_network(2) as bob:
                alice.learn(bob.address())
                await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 5)
            await until(lambda: not len(alice._context.links))


async def test_a_peer_that_speaks_gossip_only_is_not_asked_again_until_it_comes_back() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1) as alice,
        a_raw_peer(3, alpns=(GOSSIP_ALPN,)) as rust,
    ):
        alice.learn(rust.address)
        assert alice.speaks_direct(id_of(3)) is None
        async with asyncio.TaskGroup() as group:
            group.create_task(rust.accept_and_fail())
            with pytest.raises(DirectUnsupported, match=r"it runs buddies 0\.1\.4"):
                await alice.ask(id_of(3), REQUEST, 5)
        assert alice.speaks_direct(id_of(3)) is False
        # Nobody accepts any more, so this is answered from memory.
        with pytest.raises(DirectUnsupported):
            await alice.ask(id_of(3), REQUEST, 5)
        connection = await rust.connect(alice.address())
        await until(lambda: alice.connected_peers() == 1)
        assert (alice.speaks_direct(id_of(3)), connection.close_reason()) == (None, None)


async def test_that_a_peer_speaks_the_protocol_is_known_to_both_sides_after_one_request() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 5)
        assert (alice.speaks_direct(bob.endpoint), bob.speaks_direct(alice.endpoint)) == (
            True,
            True,
        )


async def test_who_could_not_be_reached_is_hardly_waited_for_until_it_is_heard_again() -> None:
    timing = Timing(dial_timeout_s=0.5, patience_after_failure_s=0.01)
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice:
        with a_mute_port() as port:
            alice.learn(at_port(2, port))
            with pytest.raises(Unreachable, match=r"nothing answered within 0\.5 s"):
                await alice.ask(id_of(2), REQUEST, 5)
            with pytest.raises(Unreachable, match=r"nothing answered within 0\.5 s"):
                await alice.ask(id_of(2), REQUEST, 5)
            assert list(alice._direct._dials) == [id_of(2)], "it is dialled again meanwhile"
        async with a_network(2) as bob:
            bob.learn(alice.address())
            await bob.ask(alice.endpoint, PeerRequest(ping=Ping()), 5)
            async with asyncio.TaskGroup() as group:
                group.create_task(answer_one(bob))
                assert await alice.ask(bob.endpoint, REQUEST, 5) == [PeerReply(end=True)]


async def test_a_failed_dial_counts_for_nothing_once_the_peer_was_heard() -> None:
    timing = Timing(dial_timeout_s=0.2, patience_after_failure_s=0.0)
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice:
        with a_mute_port() as port:
            alice.learn(at_port(2, port))
            with pytest.raises(Unreachable):
                await alice.ask(id_of(2), REQUEST, 5)
        async with a_network(2) as bob:
            await bob.reach(alice.address(), 5)  # by gossip, so there is no connection to ask by
            await until(lambda: alice.connected_peers() == 1)
            alice.learn(bob.address())
            async with asyncio.TaskGroup() as group:
                group.create_task(answer_one(bob))
                assert await alice.ask(bob.endpoint, REQUEST, 5) == [PeerReply(end=True)]


TOO_MANY = ITEMS_MAX + 1
SWOLLEN = {
    "found": PeerReply(search=SearchReply(found=[Found()] * TOO_MANY)),
    "presences": PeerReply(hello=HelloReply(presences=[PresenceCopy()] * TOO_MANY)),
    "bindings": PeerReply(bindings=BindingsReply(presences=[b""] * TOO_MANY)),
    "skills": PeerReply(skills_found=SearchReply(found=[Found()] * TOO_MANY)),
    "votes of found skills": PeerReply(
        skills_found=SearchReply(found=[Found(votes=[b""] * 32)] * 33)
    ),
    "votes of a skill": PeerReply(skill_part=Part(votes=[b""] * TOO_MANY)),
}


@pytest.mark.parametrize("kind", SWOLLEN)
async def test_a_reply_that_is_many_things_in_few_bytes_ends_the_connection(kind: str) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        async with asyncio.TaskGroup() as group:
            group.create_task(answer_one(bob, SWOLLEN[kind]))
            with pytest.raises(Unreachable, match=r"makes no sense: a reply has \d+ items"):
                await alice.ask(bob.endpoint, REQUEST, 5)
        assert alice.counters["bad_replies"] == 1


@pytest.mark.parametrize(
    ("request_", "replies_max"),
    [
        (PeerRequest(search=Search(query="q")), 1),
        (PeerRequest(fetch_memory=FetchMemory(id=b"7")), REPLIES_MAX["fetch_memory"]),
    ],
    ids=["what has one reply", "what comes in parts"],
)
async def test_more_replies_than_the_request_can_have_end_the_connection(
    request_: PeerRequest, replies_max: int
) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        alice.learn(bob.address())
        async with asyncio.TaskGroup() as group:
            group.create_task(answer_one(bob, *(PeerReply() for _ in range(replies_max))))
            assert len(await alice.ask(bob.endpoint, request_, 5)) == replies_max
        async with asyncio.TaskGroup() as group:
            group.create_task(answer_one(bob, *(PeerReply() for _ in range(replies_max + 1))))
            with pytest.raises(Unreachable, match=f"more than {replies_max} replies"):
                await alice.ask(bob.endpoint, request_, 5)


async def test_a_peer_that_leaves_requests_unanswered_can_be_asked_again() -> None:
    """QUIC grants a hundred streams; each of these requests would keep one open for ever."""
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        await until(lambda: len(alice._context.links) == 1)
        for _ in range(ABANDONED_MAX // REQUESTS_PER_PEER_MAX):
            async with asyncio.TaskGroup() as group:
                for _ in range(REQUESTS_PER_PEER_MAX):
                    group.create_task(_stays_unanswered(alice, id_of(3)))
        assert await connection.closed() == "closed by peer: you don't read (code 2)"
        assert alice.counters == {"connections_abandoned": 1}

        again = await mallory.connect(alice.address(), DIRECT_ALPN)
        await until(lambda: len(alice._context.links) == 1)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(alice.ask(id_of(3), REQUEST, 5))
            stream = (await again.accept_bi()).send()
            await stream.write_all(frame(PeerReply(end=True).SerializeToString()))
            assert await asked == [PeerReply(end=True)]


async def test_a_peer_that_answers_late_keeps_its_connection() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        await until(lambda: len(alice._context.links) == 1)
        for _ in range(ABANDONED_MAX + 1):
            await _stays_unanswered(alice, id_of(3))
            stream = (await connection.accept_bi()).send()
            await stream.write_all(frame(PeerReply(end=True).SerializeToString()))
            link = next(iter(alice._direct._links))
            await until(lambda link=link: link._abandoned == 0)  # type: ignore[misc]
        assert connection.close_reason() is None


async def test_a_caller_that_does_not_read_its_answer_is_hung_up_on() -> None:
    timing = Timing(write_stall_s=0.2)
    parts = [PeerReply(memory_part=Part(content=bytes(200_000))) for _ in range(8)]
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address(), DIRECT_ALPN)
        unread = await _request(connection, REQUEST)
        await answer_one(alice, *parts)
        assert await connection.closed() == "closed by peer: you don't read (code 2)"
        assert alice.counters == {"answers_unheard": 1}
        del unread


async def _stays_unanswered(asker: Network, peer: EndpointId) -> None:
    with pytest.raises(TimedOut):
        await asker.ask(peer, REQUEST, 0.1)


@pytest.mark.parametrize("waits_s", [0.0, 0.4])
async def test_a_good_address_is_tried_at_once_though_a_dial_to_a_bad_one_is_under_way(
    waits_s: float,
) -> None:
    """So an invite that is right leads in though one that was wrong has just been tried."""
    async with (
        asyncio.timeout(60),
        a_network(1, timing=Timing(dial_timeout_s=0.5 if waits_s else 8.0)) as alice,
        a_network(2) as bob,
    ):
        with a_mute_port() as port:
            alice.learn(at_port(2, port))
            with pytest.raises((TimedOut, Unreachable)):
                await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 0.2 + 2 * waits_s)
            alice.learn(bob.address())
            began_s = asyncio.get_running_loop().time()
            await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 20)
            assert asyncio.get_running_loop().time() - began_s < 5


async def test_who_waits_for_a_dial_to_a_bad_address_is_served_by_the_one_to_a_good_address() -> (
    None
):
    timing = Timing(dial_timeout_s=0.5)
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice, a_network(2) as bob:
        with a_mute_port() as port:
            alice.learn(at_port(2, port))
            async with asyncio.TaskGroup() as group:
                ping = PeerRequest(ping=Ping())
                group.create_task(alice.ask(bob.endpoint, ping, 3))
                await until(lambda: bool(alice._direct._dials))
                alice.learn(bob.address())
                group.create_task(alice.ask(bob.endpoint, ping, 3))


async def test_in_another_network_a_peer_is_given_time_again_though_it_was_not_reached_before() -> (
    None
):
    timing = Timing(dial_timeout_s=0.5, patience_after_failure_s=0.0)
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice:
        with a_mute_port() as port:
            alice.learn(at_port(2, port))
            with pytest.raises(Unreachable):
                await alice.ask(id_of(2), REQUEST, 5)
        async with a_network(2, udp_port=port) as bob:
            with pytest.raises(Unreachable):
                await alice.ask(id_of(2), REQUEST, 5)
            alice._direct.on_move()
            await alice.ask(bob.endpoint, PeerRequest(ping=Ping()), 5)
