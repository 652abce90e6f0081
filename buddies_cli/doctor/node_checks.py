"""Checks of the programs that run: the daemon and what it knows, and the MCP host. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buddies_cli.doctor.findings import RESTART, Said, count, fail, numbers, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buddies_cli.doctor.facts import Facts
    from buddies_core.model.room import Member


def check_daemon(facts: Facts) -> Iterator[Said]:
    """Judge the daemon."""
    its = facts.daemon
    if its.socket_problem:
        yield fail(its.socket_problem, "set it to that, in the environment of every client")
    elif its.pid is None:
        yield from _no_daemon(facts)
    elif its.info is None:
        yield fail(
            f"a daemon, process {its.pid or 'unknown'}, has the data directory and does not answer "
            f"at {its.socket}",
            f"replace it: {RESTART}; its log is in {facts.data.directory}",
        )
    else:
        yield from _running_daemon(facts)


def _no_daemon(facts: Facts) -> Iterator[Said]:
    its = facts.daemon
    if its.start_problem:
        yield fail(f"none is running, and none can start: {its.start_problem}", "correct that")
        return
    said = f"; the last one could not start: {its.last_words}" if its.last_words else ""
    yield warn(
        f"none is running{said}",
        "nothing: the first agent starts it; or start it now: buddies-cli daemon start",
    )


def _running_daemon(facts: Facts) -> Iterator[Said]:
    its, ours = facts.daemon, facts.programs
    info = its.info
    assert info is not None, "it answers"
    who = f"process {info.pid}, buddies {info.version}"
    theirs = (info.protocol, numbers(info.version))
    if theirs > (ours.protocol, numbers(ours.version)):
        yield warn(
            f"{who} is newer than this program, {ours.version}",
            "restart the clients that still run the older one; update this one: ./install.sh",
        )
    elif info.protocol < ours.protocol:
        yield fail(f"{who} is older, and this program can't talk to it", f"replace it: {RESTART}")
    elif theirs < (ours.protocol, numbers(ours.version)):
        attached = f", once its {its.agents} agents have ended" if its.agents else ""
        yield warn(
            f"{who} is still running, although {ours.version} is installed",
            f"nothing: it is replaced by itself{attached}; or now: {RESTART}",
        )
    elif its.status is None:
        yield fail(f"{who} does not report its state: {its.trouble}", f"replace it: {RESTART}")
    else:
        rooms, agents = len(its.status.rooms), len(its.status.agents)
        yield ok(f"{who}, at {its.socket}; {count(rooms, 'room')}, {count(agents, 'agent')}")
    for warning in its.status.warnings if its.status else ():
        yield warn(warning, "follow its advice; docs/operating.md says more")


def check_host(facts: Facts) -> Iterator[Said]:
    """Judge the process that serves the agents."""
    its = facts.host
    if its.is_off:
        yield ok("switched off here (BUDDIES_MCP_HOST); each agent has a server of its own")
    elif its.pid is None:
        if its.last_words:
            yield warn(
                f"none is running; the last one could not start: {its.last_words}",
                "fix that; until then each agent is served by its own process",
            )
        else:
            yield ok("none is running; the first agent starts it")
    elif not its.answers:
        yield fail(
            f"process {its.pid} serves the agents of this machine, and does not answer",
            f"replace it: {RESTART}",
        )
    elif numbers(its.version) < numbers(facts.programs.version):
        yield warn(
            f"process {its.pid} is still buddies {its.version}",
            f"nothing: it is replaced when an agent starts and no call is under way; or now: "
            f"{RESTART}",
        )
    else:
        yield ok(f"process {its.pid}, buddies {its.version}")


def check_store(facts: Facts) -> Iterator[Said]:
    """Judge the store."""
    status = facts.daemon.status
    if status is not None:
        yield ok(count(status.memories, "memory", "memories"))
    elif facts.data.store_bytes:
        yield ok("not open, because no daemon answers")
    else:
        yield ok("empty")


def check_index(facts: Facts) -> Iterator[Said]:
    """Judge the search index."""
    status = facts.daemon.status
    if status is None:
        yield ok("not open, because no daemon answers")
    elif re.match(r"[\d,]+ memories, [\d,]+ waiting$", status.index):
        yield ok(status.index)
    elif status.index.startswith("rebuilding") or "not yet found by meaning" in status.index:
        yield warn(status.index, "wait: it catches up by itself; searches work meanwhile")
    else:
        yield warn(status.index, f"if that does not help: {RESTART}")


def check_model(facts: Facts) -> Iterator[Said]:
    """Judge the embedding model."""
    status = facts.daemon.status
    if status is None:
        yield ok("not loaded, because no daemon answers")
    elif status.model.split(":")[0] in ("ready", "loading", "not loaded", "unloaded"):
        yield ok(status.model)
    else:
        yield warn(
            f"{status.model}; searches find only words",
            "install buddies again, or see buddies-cli config show for the model that you chose; "
            f"then: {RESTART}",
        )


def check_signer(facts: Facts) -> Iterator[Said]:
    """Judge the key that vouches for this machine."""
    its, info = facts.signer, facts.daemon.info
    signer = info.signer if info else facts.settings.signer
    if info is not None and info.signer_problem:
        agent = (
            "; this shell has an SSH agent, which the client that started the daemon may not hand "
            "on to it"
            if its.agent_answers
            else ""
        )
        yield fail(
            f"{info.signer_problem}{agent}",
            f"from a shell in which the key works: {RESTART}; or a key without a passphrase: "
            "buddies-cli setup identity",
        )
    elif info is None:
        yield ok(f"{signer}; not tried, because no daemon answers")
    elif info.identity:
        yield ok(f"{signer}: {info.identity}")
    elif signer == "none":
        yield ok("none: your key does not sign this machine's messages")
    else:
        yield warn(
            "no key of yours vouches for this machine's messages",
            "buddies-cli setup identity; or leave it unsigned: buddies-cli config set signer none",
        )
    if its.agent_socket and not its.agent_answers:
        yield warn(
            f"no SSH agent answers at {its.agent_socket} (SSH_AUTH_SOCK)",
            "start one and add the key (ssh-add), if the key that signs has a passphrase; "
            "otherwise nothing",
        )


def check_relay(facts: Facts) -> Iterator[Said]:
    """Judge the relay."""
    its, mode = facts.probe, facts.settings.network
    if its is None:
        if facts.settings.relay:
            yield ok(f"{facts.settings.relay}; not tried (--probe)")
        elif mode == "public":
            yield ok("n0's; not tried (--probe)")
        else:
            yield ok(f"none, because the network is {mode}")
    elif not its.url:
        yield warn(
            "no relay is known",
            "start the daemon, which finds one: buddies-cli daemon start; then try again",
        )
    elif its.answered:
        yield ok(f"{its.url} answers: {its.answered}")
    else:
        yield fail(
            f"{its.url} does not answer: {its.problem}",
            "see that HTTPS gets out of this network; without a relay peers meet in one local "
            "network alone",
        )


def check_peers(facts: Facts) -> Iterator[Said]:
    """Judge who can be heard in each room."""
    status = facts.daemon.status
    if status is None:
        yield ok("none, because no daemon answers")
        return
    yield ok(count(status.peers_connected, "connection"))
    for room in facts.rooms:
        others = [it for it in room.members if not it.is_self]
        if others:
            yield ok(f"{room.room}: {', '.join(map(_member, others))}")
        else:
            yield warn(
                f"{room.room}: nobody else is present",
                "nothing if they are away; otherwise send a new ticket: buddies-cli ticket ROOM",
            )


def _member(member: Member) -> str:
    """Return who it is and how it is reached: `bob (direct, 12 ms)`."""
    how = ["silent" if member.silent_since_ms else member.path.value if member.path else ""]
    if member.round_trip_ms is not None:
        how.append(f"{member.round_trip_ms} ms")
    shown = ", ".join(filter(None, how))
    return f"{member.name} ({shown})" if shown else member.name
