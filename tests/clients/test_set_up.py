"""The real clients find our server where `setup` has put it, and no more once it is removed."""

import pytest

from tests.clients.homes import ClientHome

CLIENTS = {
    "claude": "✔ Connected",
    "codex": "enabled",  # it only prints its configuration
    "opencode": "connected",
    "gemini": "Connected",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_lists_what_setup_has_configured_and_then_no_more(
    client: str, home: ClientHome
) -> None:
    home.install(client)
    home.cli("config", "set", "network", "loopback")
    before = home.types(client, "mcp", "list")
    assert "buddies" not in before

    (done,) = home.cli("setup", "--client", client, "--yes")["results"]
    assert (done["done"], done["problem"]) == (True, None)
    (state,) = [it for it in home.cli("setup", "status")["clients"] if it["client"] == client]
    assert (state["state"], state["problem"]) == ("set up", None)
    listed = home.types(client, "mcp", "list")
    assert [line for line in listed.splitlines() if "buddies" in line and CLIENTS[client] in line]

    again = home.cli("setup", "--client", client, "--yes")["results"]
    assert [it["done"] for it in again] == [False]
    home.cli("setup", "remove", "--client", client, "--yes")
    assert "buddies" not in home.types(client, "mcp", "list")
    assert '"buddies"' not in (home.path / state["file"]).read_text()
