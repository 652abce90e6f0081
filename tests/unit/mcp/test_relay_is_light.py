"""What a relay costs each agent: the modules that it loads."""

import subprocess
import sys

LOADED = """
import sys
import buddies_mcp.__main__, buddies_mcp.relay, buddies_mcp.reaching
print(*sys.modules)
"""
HEAVY = {
    "argparse", "asyncio", "dataclasses", "google", "grpc", "hashlib", "importlib.metadata",
    "logging", "mcp", "mcp_types", "pathlib", "platformdirs", "pydantic", "subprocess",
    "threading", "typing",
}  # fmt: skip
OURS = {
    "buddies_core", "buddies_core.errors", "buddies_core.places", "buddies_core.streams",
    "buddies_mcp", "buddies_mcp.__main__", "buddies_mcp.conversation", "buddies_mcp.greeting",
    "buddies_mcp.reaching", "buddies_mcp.relay", "buddies_mcp.splitting",
}  # fmt: skip


def test_a_relay_loads_a_few_modules_of_ours_and_none_that_take_long() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = set(said.stdout.split())
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (loaded - set(bare.stdout.split())) & HEAVY == set()
    assert {name for name in loaded if name.startswith("buddies")} == OURS
