"""A relay over real pipes, with hosts that the test plays."""

import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from buddies_mcp.conversation import LOST
from buddies_mcp.relay import Relay

WITHIN_S = 5.0
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
PONG = b'{"jsonrpc":"2.0","id":1,"result":{}}\n'


class Story:
    """A client at the pipes of a relay, and the hosts that it will find."""

    def __init__(self) -> None:
        stdin, self.to_relay = os.pipe()
        self.from_relay, stdout = os.pipe()
        self.hosts: Queue[socket.socket] = Queue()
        self.needed: list[bool] = []
        self.code: int | None = None
        self._ends = [stdin, stdout]
        self._relay = Relay(stdin, stdout, self._reach)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lines = os.fdopen(os.dup(self.from_relay), "rb")

    def start(self) -> None:
        self._thread.start()

    def a_host(self) -> socket.socket:
        """Return the host's end of the next connection that the relay makes."""
        ours, theirs = socket.socketpair()
        ours.settimeout(WITHIN_S)
        self.hosts.put(theirs)
        return ours

    def say(self, data: bytes) -> None:
        os.write(self.to_relay, data)

    def hang_up(self) -> None:
        os.close(self.to_relay)
        self.to_relay = -1

    def hears(self) -> bytes:
        return self._lines.readline()

    def ends(self) -> int | None:
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive(), "the relay goes on"
        return self.code

    def close(self) -> None:
        if self.to_relay != -1:
            self.hang_up()
        self.ends()
        while not self.hosts.empty():
            self.hosts.get().close()
        self._lines.close()
        for descriptor in (*self._ends, self.from_relay):
            os.close(descriptor)

    def _run(self) -> None:
        self.code = self._relay.run()

    def _reach(self, needed: bool) -> socket.socket | None:
        self.needed.append(needed)
        if self.hosts.empty() and not needed:
            return None
        return self.hosts.get(timeout=WITHIN_S)


@pytest.fixture
def story() -> Iterator[Story]:
    story = Story()
    yield story
    story.close()


@contextmanager
def first_host(story: Story) -> Iterator[socket.socket]:
    with story.a_host() as host:
        story.start()
        yield host


def read_line(host: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = host.recv(1)
        assert chunk, f"the relay has hung up after {line!r}"
        line += chunk
    return line


def test_whole_lines_go_both_ways_as_they_are(story: Story) -> None:
    with first_host(story) as host:
        story.say(PING[:10])
        story.say(PING[10:] + b"nonsense\r\n")
        assert (read_line(host), read_line(host)) == (PING, b"nonsense\r\n")
        host.sendall(PONG[:10])
        host.sendall(PONG[10:])
        assert story.hears() == PONG


def test_what_has_no_end_when_stdin_ends_is_handed_on_and_answered(story: Story) -> None:
    with first_host(story) as host:
        story.say(PING[:-1])
        story.hang_up()
        assert read_line(host) == PING
        assert host.recv(1) == b""
        host.sendall(PONG)
        assert story.hears() == PONG
    assert story.ends() == 0


def test_it_ends_soon_after_stdin_though_the_host_does_not_hang_up(story: Story) -> None:
    with first_host(story):
        story.hang_up()
        assert story.ends() == 0


def test_half_a_line_of_a_host_that_dies_never_reaches_the_client(story: Story) -> None:
    with first_host(story) as host:
        story.say(PING)
        read_line(host)
        host.sendall(PONG[:10])
        second = story.a_host()
    answer = json.loads(story.hears())
    assert answer == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": LOST}}
    with second:
        story.say(PING.replace(b"1", b"2"))
        assert read_line(second) == PING.replace(b"1", b"2")
        second.sendall(PONG.replace(b"1", b"2"))
        assert story.hears() == PONG.replace(b"1", b"2")


def test_half_a_line_of_the_client_is_handed_to_the_next_host_whole(story: Story) -> None:
    with first_host(story) as host:
        story.say(b"first\n" + PING[:10])
        read_line(host)
        second = story.a_host()
    with second:
        story.say(PING[10:])
        assert read_line(second) == PING
        second.sendall(PONG)
        assert story.hears() == PONG


def test_a_host_that_was_ended_on_purpose_is_started_again_only_for_the_next_line(
    story: Story,
) -> None:
    with first_host(story):
        pass
    while len(story.needed) < 2:
        threading.Event().wait(0.01)
    with story.a_host() as second:
        story.say(PING)
        assert read_line(second) == PING
        assert story.needed in ([True, False, True], [True, False, False])


def test_a_flood_that_the_host_does_not_take_is_held_up_and_not_collected(story: Story) -> None:
    with first_host(story) as host:
        line = b"x" * 999 + b"\n"
        sent = 0
        # It has stopped reading when nothing more fits into its pipe for a while.
        while select.select([], [story.to_relay], [], 0.3)[1]:
            sent += os.write(story.to_relay, line)
        assert sent < 4 << 20
        story.hang_up()
        taken = 0
        while chunk := host.recv(1 << 20):
            taken += len(chunk)
        assert taken == sent


def test_a_host_that_takes_nothing_any_more_is_given_up(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_mcp.relay.STALLED_AFTER_S", 0.2)
    with first_host(story), story.a_host() as second:
        story.say(PING)
        while select.select([], [story.to_relay], [], 0.1)[1]:
            os.write(story.to_relay, b"x" * 999 + b"\n")
        assert json.loads(story.hears())["error"]["message"] == LOST
        assert read_line(second).startswith(b"x")
        story.hang_up()
        while second.recv(1 << 20):
            pass


def test_a_client_that_reads_nothing_holds_up_the_host_and_the_end_for_a_second_alone(
    story: Story,
) -> None:
    with first_host(story) as host:
        host.settimeout(0.5)
        with pytest.raises(TimeoutError):
            host.sendall(PONG * 1_000_000)
        story.hang_up()
        assert story.ends() == 0


def test_a_line_beyond_the_limit_is_cut_and_the_next_one_handed_on(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story._relay._from_client._bytes_max = 10
    with first_host(story) as host:
        story.say(b"x" * 50_000 + b"\n" + PING[:9] + b"\n")
        assert (read_line(host), read_line(host)) == (b"x" * 11 + b"\n", PING[:9] + b"\n")
