"""A policy as a person and an agent meet it, on a machine of their own."""

import pytest

from tests.support.machines import CommandFailed, agent_on, some_machines

KEY = "ssh:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgHWll+choVbi4Hmd5cwMUyTcbn6vHN1GJQho7FMhXd"


async def test_a_policy_asks_before_it_locks_out_and_outlives_a_restart() -> None:
    with some_machines("alice") as (alice,):
        await alice.command("join", "demo")
        shown = await alice.run("policy", "show", "demo")
        assert "everybody who knows the room's name is heard" in shown.output

        refused = await alice.run("policy", "add", "demo", f"{KEY} ann@home")
        assert (refused.code, refused.output) == (1, "")
        assert "no key vouches for what this machine says" in refused.errors
        assert "--yes" in refused.errors
        done = await alice.run("policy", "add", "demo", f"{KEY} ann@home", "--yes")
        assert (done.code, done.output.splitlines()[1]) == (0, KEY)

        await alice.kill_daemon()
        async with agent_on(alice) as agent:
            policy = await agent.call("get_identity_policy", room="demo")
            assert (policy["identities"], policy["local_identity"]) == ([KEY], None)
            (warning,) = (await agent.call("join_room", room="demo"))["warnings"]
            assert "does not let in this machine's own" in warning
            with pytest.raises(CommandFailed, match=r"is empty.*confirm it"):
                await agent.call("remove_whitelisted_identity", room="demo", identity=KEY)
            await agent.call(
                "remove_whitelisted_identity", room="demo", identity=f"{KEY} x", confirm=True
            )
        assert "There is no policy" in (await alice.run("policy", "show", "demo")).output
