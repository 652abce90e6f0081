"""Where the daemon is found, whose child it is, and how it is replaced: with real processes."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from mcp import Client, StdioServerParameters

from tests.support.processes import descendants_of, foster_parent, parent_of
from tests.support.worlds.machines import Agent, Machine, agent_on
from tests.support.worlds.meeting import eventually


def as_codex_hands_on(machine: Machine) -> dict[str, str]:
    """Return the environment of Codex's MCP servers: an allow-list and what its config names."""
    # The data directory is where it is by default, as nothing names it.
    data_home = machine.home / ".local" / "share"
    data_home.mkdir(parents=True, exist_ok=True)
    if not (data_home / "buddies").exists():
        machine.data_dir.mkdir(mode=0o700, exist_ok=True)
        (data_home / "buddies").symlink_to(machine.data_dir)
    return {
        "HOME": str(machine.home),
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "PWD": str(machine.home),
        "SHELL": "/bin/sh",
        "TERM": "dumb",
        "BUDDIES_AGENT": "codex",
        "BUDDIES_NETWORK": "loopback",
    }


async def call(environ: Mapping[str, str], tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool of a shim that has this environment and nothing else."""
    command = StdioServerParameters(
        # What the client of the tests adds by itself is taken out again.
        command="env",
        args=["-i", *(f"{name}={value}" for name, value in environ.items()), "buddies"],
    )
    async with Client(command, mode="auto", read_timeout_seconds=30) as session:
        return await Agent("codex", session).call(tool, **arguments)


async def test_a_shim_finds_the_daemon_of_a_shell_that_has_another_environment(
    alice: Machine,
) -> None:
    codex = as_codex_hands_on(alice)
    started = await alice.command("daemon", "start")
    assert (alice.data_dir / "lock").read_text() == (
        f"{started['pid']}\n{next((alice.home / 'run').rglob('core.sock'))}\n"
    )

    joined = await call(codex, "join_room", room="feature-a")

    assert joined["room"] == "feature-a"
    assert (await alice.command("rooms"))["rooms"] == ["feature-a"]
    assert alice.daemon_pid() == started["pid"]


async def test_a_shell_finds_the_daemon_of_a_shim_that_has_another_environment(
    alice: Machine,
) -> None:
    codex = as_codex_hands_on(alice)
    await call(codex, "join_room", room="feature-a")
    started = alice.daemon_pid()

    assert (await alice.command("rooms"))["rooms"] == ["feature-a"]
    status = await alice.command("daemon", "status")

    assert status["pid"] == started == alice.daemon_pid()
    assert await alice.command("daemon", "stop") == {"stopped": started}


async def test_an_agent_stays_attached_when_a_shell_with_another_environment_restarts_the_daemon(
    alice: Machine,
) -> None:
    codex = as_codex_hands_on(alice)
    await call(codex, "list_rooms")
    async with agent_on(alice) as claude:
        await claude.call("join_room", room="feature-a")
        before = alice.daemon_pid()
        restarted = await alice.command("daemon", "restart")
        assert restarted["pid"] not in (before, None)
        # By itself: nobody has asked it for anything since.
        await eventually(lambda: alice.command("daemon", "status"), lambda it: it["agents"] != [])
        assert await claude.call("list_rooms") == {"rooms": ["feature-a"]}


async def test_the_daemon_outlives_whoever_ends_the_shim_with_all_its_descendants(
    alice: Machine,
) -> None:
    """As OpenCode does when it quits: descendants are found by their parent's pid."""
    shim = await asyncio.create_subprocess_exec(
        "buddies",
        env=os.environ | alice.environment("opencode"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert await list_rooms_by_hand(shim) == {"rooms": []}
        daemon = alice.daemon_pid()
        assert daemon is not None
    finally:
        tree = [shim.pid, *descendants_of(shim.pid)]
        for pid in tree:
            os.kill(pid, signal.SIGKILL)
        await shim.wait()

    assert daemon not in tree
    status = await alice.command("daemon", "status")
    assert (status["pid"], status["agents"]) == (daemon, [])
    assert parent_of(daemon) == foster_parent()


async def list_rooms_by_hand(shim: asyncio.subprocess.Process) -> Any:
    """Speak MCP with a shim, so that its pid is known."""
    assert shim.stdin is not None
    assert shim.stdout is not None
    start = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "opencode", "version": "1"},
    }
    for message in (
        {"id": 1, "method": "initialize", "params": start},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "list_rooms", "arguments": {}}},
    ):
        shim.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    while (answer := json.loads(await shim.stdout.readline())).get("id") != 2:
        pass
    return answer["result"]["structuredContent"]


async def test_a_restart_with_settings_that_can_not_work_says_so_and_changes_nothing(
    alice: Machine,
) -> None:
    started = (await alice.command("daemon", "start"))["pid"]
    missing = alice.home / "no-such-key"
    for name, value, reason in (
        ("BUDDIES_NETWORK", "moon", "BUDDIES_NETWORK is 'moon'; it must be one of"),
        ("BUDDIES_RELAY_URL", "nonsense", "BUDDIES_RELAY_URL is 'nonsense'; it must be a URL"),
        ("BUDDIES_SSH_PRIVATE_KEY", str(missing), "the signer ssh can't work: "),
    ):
        changed = alice.with_environment(**{"BUDDIES_SIGNER": "ssh", name: value})
        answer = await changed.run("daemon", "restart")

        assert (answer.code, answer.output) == (2, "")
        said = "error: the daemon was not restarted and goes on as it was: "
        assert answer.errors.startswith(said + reason)
        assert alice.daemon_pid() == started

    restarted = await alice.with_environment(BUDDIES_USER="alicia").command("daemon", "restart")

    assert (restarted["user"], restarted["pid"]) == ("alicia", alice.daemon_pid())
    assert restarted["pid"] != started


async def test_the_file_says_who_the_machine_is_whichever_client_starts_the_daemon(
    alice: Machine,
) -> None:
    """Codex hands on none of what a shell has set; so does a restart from one of its tools."""
    codex = as_codex_hands_on(alice)
    del codex["BUDDIES_NETWORK"]
    settings = alice.home / ".config" / "buddies" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        'user = "Alice A."\nnetwork = "loopback"\nlegacy = false\n[agents]\ncodex = "My Codex"\n'
    )

    await call(codex, "list_rooms")
    started = await alice.command("daemon", "status")
    restart = await asyncio.create_subprocess_exec(
        "buddies-cli", "daemon", "restart", env=codex, stdout=asyncio.subprocess.PIPE
    )
    await restart.communicate()
    async with Client(StdioServerParameters(command="buddies", env=codex)) as session:
        await session.call_tool("list_rooms", {})
        restarted = await alice.command("daemon", "status")

    assert restart.returncode == 0
    assert restarted["pid"] != started["pid"]
    for status in (started, restarted):
        assert {key: status[key] for key in ("user", "network", "legacy")} == {
            "user": "Alice A.",
            "network": "loopback",
            "legacy": "off",
        }
    assert [agent["name"] for agent in restarted["agents"]] == ["My Codex"]
