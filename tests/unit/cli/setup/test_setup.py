"""Each client is set up as it wants it, and is left as it was when that is taken back."""

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from buddies_cli.setup.looking import State, look
from buddies_cli.setup.plans import carry_out, plan_adding, plan_removing
from buddies_core.errors import InvalidInput, NotAllowed, StoreError
from buddies_core.mcp_clients import CLIENT_NAMES, CLIENTS, McpClient, client_named
from tests.unit.cli.conftest import Person
from tests.unit.cli.setup.conftest import EDITED, Home, each_edited, each_json

DATE = "2026-11-30"
TOML = '# mine\nmodel = "x"  # the newest\n\n[mcp_servers.other]\ncommand = "y"\n'


def shim(home: Home) -> str:
    return str(home.path / "opt" / "buddies")


def wanted(client: McpClient, home: Home) -> dict[str, Any]:
    """Return the entry that this client wants, written out."""
    env = {"BUDDIES_AGENT": client.agent}
    plain = {"command": shim(home), "args": [], "env": env}
    others: dict[str, dict[str, Any]] = {
        "claude": {"type": "stdio", **plain},
        "vscode": {"type": "stdio", **plain},
        "codex": {
            **plain,
            "tool_timeout_sec": 120,
            "env_vars": ["SSH_AUTH_SOCK", "GNUPGHOME"],
        },
        "opencode": {
            "type": "local",
            "command": [shim(home)],
            "environment": env,
            "enabled": True,
        },
    }
    return others.get(client.name, plain)


def data_of(file: Path) -> Any:
    text = file.read_text("utf-8-sig")
    return tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)


def entry_of(client: McpClient, file: Path) -> Any:
    data = data_of(file)
    for key in (*client.layouts[0].keys, "buddies"):
        data = data[key]
    return data


def some_configuration(client: McpClient) -> str:
    """Return what a person might have in this client's configuration, other servers too."""
    if client.name == "codex":
        return TOML
    servers: Any = {"other": {"command": "npx", "args": ["-y", "x"]}}
    for key in reversed(client.layouts[0].keys):
        servers = {key: servers}
    return json.dumps({"theme": "dark", **servers, "é": [1.10, {}]}, indent="\t")


def set_up(client: McpClient, home: Home) -> None:
    carry_out(plan_adding(look(client, home.environ), home.environ), home.environ, DATE)


def take_back(client: McpClient, home: Home) -> None:
    carry_out(plan_removing(look(client, home.environ)), home.environ, DATE)


def test_the_table_is_that_of_the_documentation() -> None:
    assert (
        *("claude", "claude-desktop", "cursor", "vscode", "codex", "gemini", "opencode"),
        *("openclaw", "windsurf", "zed", "antigravity"),
    ) == CLIENT_NAMES


@pytest.mark.parametrize(
    ("system", "name", "file"),
    [
        ("linux", "claude", ".claude.json"),
        ("linux", "claude-desktop", ".config/Claude/claude_desktop_config.json"),
        ("linux", "cursor", ".cursor/mcp.json"),
        ("linux", "vscode", ".config/Code/User/mcp.json"),
        ("linux", "codex", ".codex/config.toml"),
        ("linux", "gemini", ".gemini/settings.json"),
        ("linux", "opencode", ".config/opencode/opencode.json"),
        ("linux", "openclaw", ".openclaw/openclaw.json"),
        ("linux", "windsurf", ".codeium/windsurf/mcp_config.json"),
        ("linux", "zed", ".config/zed/settings.json"),
        (
            "darwin",
            "claude-desktop",
            "Library/Application Support/Claude/claude_desktop_config.json",
        ),
        ("darwin", "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("darwin", "zed", ".config/zed/settings.json"),
        ("darwin", "opencode", ".config/opencode/opencode.json"),
    ],
)
def test_each_configuration_is_where_its_client_keeps_it(
    system: str, name: str, file: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    assert home.file(client_named(name)) == home.path / file


@each_edited
def test_where_there_is_no_configuration_one_is_made_with_our_entry_alone(
    client: McpClient, home: Home
) -> None:
    file = home.install(client)
    before = home.snapshot()

    set_up(client, home)
    assert entry_of(client, file) == wanted(client, home)
    assert look(client, home.environ).state is State.READY

    take_back(client, home)
    assert home.snapshot() == before


@each_edited
def test_our_entry_goes_beside_the_others_and_comes_out_without_a_trace(
    client: McpClient, home: Home
) -> None:
    file = home.install(client, some_configuration(client))
    file.chmod(0o640)
    before, data = home.snapshot(), data_of(file)

    set_up(client, home)
    after = data_of(file)
    assert entry_of(client, file) == wanted(client, home)
    servers = after
    for key in client.layouts[0].keys:
        servers = servers[key]
    del servers["buddies"]
    assert after == data
    backup = file.with_name(f"{file.name}.before-buddies-{DATE}")
    assert backup.read_bytes() == before[str(file.relative_to(home.path))]
    assert {stat.S_IMODE(it.stat().st_mode) for it in (file, backup)} == {0o640}

    take_back(client, home)
    assert home.snapshot() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@each_edited
def test_what_was_changed_meanwhile_stays_when_our_entry_comes_out(
    client: McpClient, home: Home
) -> None:
    text = (
        some_configuration(client).replace("mcp_servers.other", "other")
        if (client.name == "codex")
        else '{\n  "theme": "dark"\n}'
    )
    file = home.install(client, text)
    set_up(client, home)
    changed = file.read_text().replace("dark", "light").replace("newest", "oldest")
    file.write_text(changed)

    take_back(client, home)

    assert file.read_text() == text.replace("dark", "light").replace("newest", "oldest")


@each_edited
def test_setting_up_twice_writes_once(client: McpClient, home: Home) -> None:
    home.install(client, some_configuration(client))
    set_up(client, home)
    once = home.snapshot()
    assert not plan_adding(look(client, home.environ), home.environ).does_something
    set_up(client, home)
    assert home.snapshot() == once


@each_edited
def test_an_older_entry_is_told_and_brought_up_to_date_with_what_a_person_added(
    client: McpClient, home: Home
) -> None:
    original = some_configuration(client)
    file = home.install(client, original)
    set_up(client, home)
    mine = ('"BUDDIES_AGENT"', '"MINE": "1", "BUDDIES_AGENT"')
    if client.name == "codex":
        mine = ("BUDDIES_AGENT", 'MINE = "1", BUDDIES_AGENT')
    file.write_text(file.read_text().replace(shim(home), "/old/buddies").replace(*mine))

    found = look(client, home.environ)
    assert found.state is State.DIFFERS
    assert found.problem == f"command is /old/buddies, not {shim(home)}"
    set_up(client, home)

    expected = wanted(client, home)
    expected["environment" if client.name == "opencode" else "env"]["MINE"] = "1"
    assert entry_of(client, file) == expected
    (backup,) = file.parent.glob("*.before-buddies-*")
    assert backup.read_text() == original  # from before we were in there
    assert look(client, home.environ).state is State.READY


def test_a_program_that_has_gone_is_told(home: Home) -> None:
    client = client_named("cursor")
    home.install(client)
    set_up(client, home)
    Path(shim(home)).unlink()
    assert look(client, home.environ).problem == f"{shim(home)} can't be run"


def test_where_data_and_settings_are_is_written_down_for_clients_that_do_not_hand_it_on(
    home: Home,
) -> None:
    client = client_named("codex")
    file = home.install(client)
    home.environ.update(BUDDIES_DATA_DIR="/d", XDG_CONFIG_HOME="/c")
    set_up(client, home)
    assert entry_of(client, file)["env"] == {
        "BUDDIES_AGENT": "codex",
        "BUDDIES_DATA_DIR": "/d",
        "XDG_CONFIG_HOME": "/c",
    }


def test_a_variable_that_codex_does_not_hand_on_yet_is_told_and_added_to_those_of_a_person(
    home: Home,
) -> None:
    """A daemon that Codex starts finds the SSH agent only by that."""
    client = client_named("codex")
    file = home.install(client)
    set_up(client, home)
    file.write_text(file.read_text().replace('"SSH_AUTH_SOCK", "GNUPGHOME"', '"MINE"'))

    found = look(client, home.environ)
    set_up(client, home)

    assert found.problem == "env_vars lacks SSH_AUTH_SOCK; env_vars lacks GNUPGHOME"
    assert entry_of(client, file)["env_vars"] == ["MINE", "SSH_AUTH_SOCK", "GNUPGHOME"]


@pytest.mark.parametrize(
    ("text", "version", "keys"),
    [
        ('{"mcp": {"other": {"type": "local", "command": ["x"]}}}', 2, ("mcp",)),
        ('{"mcp": {"servers": {}}}', 1, ("mcp", "servers")),
        ('{"mcp": {"servers": {"type": "local", "command": ["x"]}}}', 1, ("mcp",)),
        ("{}", 1, ("mcp",)),
        ("{}", 2, ("mcp", "servers")),
        ("{}", None, ("mcp",)),
    ],
)
def test_opencodes_two_layouts_are_told_apart(
    text: str, version: int | None, keys: tuple[str, ...], home: Home
) -> None:
    client = client_named("opencode")
    file = home.install(client, text)
    if version is not None:
        home.program("opencode", f"print('{version}.1.0')")
    set_up(client, home)

    entry = data_of(file)
    for key in (*keys, "buddies"):
        entry = entry[key]
    assert ("enabled" in entry) is (keys == ("mcp",))


# Bad input


@each_edited
@pytest.mark.parametrize("content", [b"{ not this", b'x = "y\n{', b"\xff\xfe{}"])
def test_what_does_not_parse_is_told_and_left_alone(
    content: bytes, client: McpClient, home: Home
) -> None:
    file = home.install(client, content)
    found = look(client, home.environ)
    assert found.state is State.UNREADABLE
    with pytest.raises(InvalidInput, match="was left unchanged"):
        plan_adding(found, home.environ)
    with pytest.raises(InvalidInput, match="was left unchanged"):
        plan_removing(found)
    assert file.read_bytes() == content
    assert list(file.parent.glob("*before*")) == []


@each_json
def test_a_place_that_is_taken_by_something_else_is_told_with_what_to_put_there(
    client: McpClient, home: Home
) -> None:
    text = json.dumps({client.layouts[0].keys[0]: [1]})
    file = home.install(client, text)
    with pytest.raises(InvalidInput, match=r'by hand: "buddies": \{') as failed:
        plan_adding(look(client, home.environ), home.environ)
    assert shim(home) in str(failed.value)
    assert file.read_text() == text


def test_an_inline_table_of_servers_is_added_to(home: Home) -> None:
    client = client_named("codex")
    file = home.install(client, 'mcp_servers = { other = { command = "y" } }\n')
    before = home.snapshot()
    set_up(client, home)
    assert entry_of(client, file) == wanted(client, home)
    assert data_of(file)["mcp_servers"]["other"] == {"command": "y"}
    take_back(client, home)
    assert home.snapshot() == before


@each_edited
def test_a_read_only_configuration_is_left_alone(client: McpClient, home: Home) -> None:
    file = home.install(client, some_configuration(client))
    file.chmod(0o444)
    before = home.snapshot()
    with pytest.raises(NotAllowed, match=r"is read-only.*chmod u\+w"):
        set_up(client, home)
    assert home.snapshot() == before


@each_edited
def test_a_link_stays_a_link_and_what_it_leads_to_is_changed(client: McpClient, home: Home) -> None:
    file = home.install(client, some_configuration(client))
    real = home.path / "dotfiles" / file.name
    real.parent.mkdir()
    file.rename(real)
    file.symlink_to(os.path.relpath(real, file.parent))
    before = real.read_bytes()

    set_up(client, home)
    assert file.is_symlink()
    assert entry_of(client, real) == wanted(client, home)

    take_back(client, home)
    assert file.is_symlink()
    assert real.read_bytes() == before
    assert os.listdir(real.parent) == [real.name]


def test_a_link_that_leads_nowhere_is_given_a_file(home: Home) -> None:
    client = client_named("cursor")
    file = home.install(client)
    real = home.path / "dotfiles" / "mcp.json"
    file.symlink_to(real)
    set_up(client, home)
    assert file.is_symlink()
    assert entry_of(client, real) == wanted(client, home)


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
def test_what_is_not_a_file_is_told_and_not_waited_for(kind: str, home: Home) -> None:
    client = client_named("cursor")
    file = home.install(client)
    match kind:
        case "directory":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case _:
            file.symlink_to(file)
    assert look(client, home.environ).state is State.UNREADABLE


def test_a_huge_configuration_is_told_with_what_to_put_there(home: Home) -> None:
    client = client_named("cursor")
    file = home.install(client, json.dumps({"a": "x" * 1_000_001}))
    with pytest.raises(InvalidInput, match="has more than 1000000 bytes; put this below"):
        plan_adding(look(client, home.environ), home.environ)
    file.write_bytes(b" " * (17 << 20))
    assert look(client, home.environ).state is State.UNREADABLE


@each_edited
def test_a_file_that_appears_or_changes_after_the_plan_is_left_alone(
    client: McpClient, home: Home
) -> None:
    file = home.install(client)
    file.unlink(missing_ok=True)
    for text in (some_configuration(client), some_configuration(client) + "\n"):
        plan = plan_adding(look(client, home.environ), home.environ)
        file.write_text(text)
        with pytest.raises(NotAllowed, match="has changed since it was looked at"):
            carry_out(plan, home.environ, DATE)
        assert file.read_text() == text
        assert os.listdir(file.parent).count(file.name) == 1
        assert list(file.parent.glob("*.before-buddies-*")) == []
        assert list(file.parent.glob(".buddies-*")) == []


def test_a_disk_that_refuses_leaves_the_file_as_it_was(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_named("cursor")
    home.install(client, some_configuration(client))
    before = home.snapshot()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        set_up(client, home)
    assert home.snapshot() == before


# A client's own command

CLAUDE = """
path = os.path.join(os.environ["HOME"], ".claude.json")
data = json.load(open(path)) if os.path.exists(path) else {}
servers = data.setdefault("mcpServers", {})
words = sys.argv[1:]
if words[1] == "add":
    if "buddies" in servers: sys.exit("MCP server buddies already exists in user config")
    env = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-e")
    command = words[words.index("--") + 1]
    servers["buddies"] = {"type": "stdio", "command": command, "args": [], "env": env}
else:
    del servers["buddies"]
json.dump(data, open(path, "w"))
"""


def calls(home: Home, name: str) -> list[list[str]]:
    return [json.loads(line) for line in (home.path / f"{name}.calls").read_text().splitlines()]


def test_claude_is_set_up_by_its_own_command_with_the_name_before_the_variables(
    home: Home,
) -> None:
    client = client_named("claude")
    file = home.install(client, '{"mcpServers": {}}')
    home.program("claude", CLAUDE)

    set_up(client, home)
    assert look(client, home.environ).state is State.READY
    entry = data_of(file)
    entry["mcpServers"]["buddies"] |= {"command": "/old"}
    file.write_text(json.dumps(entry))
    set_up(client, home)
    take_back(client, home)

    add = ["mcp", "add", "buddies", "--scope", "user", "-e", "BUDDIES_AGENT=claude-code"]
    remove = ["mcp", "remove", "buddies", "--scope", "user"]
    assert calls(home, "claude") == [
        [*add, "--", shim(home)],
        remove,  # it does not replace an entry
        [*add, "--", shim(home)],
        remove,
    ]
    assert data_of(file) == {"mcpServers": {}}


def test_what_codexs_own_command_has_no_option_for_is_added_to_its_file(home: Home) -> None:
    client = client_named("codex")
    file = home.install(client, TOML)
    home.program(
        "codex",
        "with open(os.path.join(os.environ['HOME'], '.codex/config.toml'), 'a') as f:\n"
        "    f.write('\\n[mcp_servers.buddies]\\ncommand = %s\\n' % json.dumps(sys.argv[-1]))\n",
    )
    set_up(client, home)
    assert calls(home, "codex") == [
        ["mcp", "add", "buddies", "--env", "BUDDIES_AGENT=codex", "--", shim(home)]
    ]
    assert entry_of(client, file) == wanted(client, home)
    assert file.read_text().startswith(TOML)


@pytest.mark.parametrize(
    ("name", "program", "arguments"),
    [
        (
            "gemini",
            "gemini",
            ["mcp", "add", "--scope", "user", "-e", "BUDDIES_AGENT=gemini-cli", "buddies", "SHIM"],
        ),
        (
            "openclaw",
            "openclaw",
            ["mcp", "add", "buddies", "--command", "SHIM", "--env", "BUDDIES_AGENT=openclaw",
             "--no-probe"],
        ),
        (
            "antigravity",
            "agy",
            ["mcp", "add", "--env", "BUDDIES_AGENT=antigravity", "buddies", "--", "SHIM"],
        ),
    ],
)  # fmt: skip
def test_the_others_that_have_a_command_are_asked_in_their_own_way(
    name: str, program: str, arguments: list[str], home: Home
) -> None:
    home.program(program)
    client = client_named(name)
    plan = plan_adding(look(client, home.environ), home.environ)
    assert [list(command) for command in plan.commands] == [
        [str(home.path / "bin" / program)]
        + [shim(home) if it == "SHIM" else it for it in arguments]
    ]


def test_a_command_that_fails_or_does_nothing_is_told(home: Home) -> None:
    client = client_named("claude")
    home.program("claude", "sys.exit('no disk')")
    with pytest.raises(InvalidInput, match=r"claude mcp add buddies .* failed: no disk"):
        set_up(client, home)
    home.program("claude")
    with pytest.raises(InvalidInput, match=r"reported no error, but .*/.claude.json is not"):
        set_up(client, home)


def test_antigravity_is_left_to_its_own_command(home: Home) -> None:
    client = client_named("antigravity")
    home.install(client, json.dumps({"mcpServers": {"buddies": {"command": "/old"}}}))
    found = look(client, home.environ)
    with pytest.raises(InvalidInput, match="agy is not on the PATH"):
        plan_adding(found, home.environ)
    with pytest.raises(InvalidInput, match="agy is not on the PATH"):
        plan_removing(found)


# The commands


def test_setup_shows_asks_writes_and_reports(person: Person, home: Home) -> None:
    cursor, zed = client_named("cursor"), client_named("zed")
    home.install(cursor)
    home.install(zed, '{"theme": "dark"}')
    before = home.snapshot()

    dry = person.types("setup", "--dry-run")
    assert (dry.code, home.snapshot()) == (0, before)
    assert '+    "buddies": {' in dry.out

    seen = person.types("setup", "--all", "--json")
    assert seen.code == 0
    assert [(it["client"], it["done"], it["problem"]) for it in seen.json["results"]] == [
        ("cursor", True, None),
        ("zed", True, None),
    ]
    assert person.types("setup", "status", "--json").json == {
        "clients": [
            {
                "client": client.name,
                "file": str(home.file(client)),
                "state": "set up",
                "problem": None,
            }
            for client in (cursor, zed)
        ]
    }
    assert person.types("setup", "remove", "--yes").code == 0
    assert home.snapshot() == before


def test_without_a_yes_nothing_is_written(
    person: Person, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.install(client_named("cursor"))
    before = home.snapshot()
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    for words in (("setup",), ("setup", "--json")):
        seen = person.types(*words)
        assert (seen.code, home.snapshot()) == (0, before)
        assert "nothing was changed" in seen.err


def test_one_client_that_cannot_be_changed_keeps_none_of_the_others_waiting(
    person: Person, home: Home
) -> None:
    home.install(client_named("cursor"), "{ broken")
    home.install(client_named("zed"))
    seen = person.types("setup", "--all", "--json")
    assert seen.code == 1
    cursor, zed = seen.json["results"]
    assert "was left unchanged: it is not valid JSON" in cursor["problem"]
    assert (zed["done"], zed["problem"]) == (True, None)
    status = person.types("setup", "status")
    assert status.code == 1
    assert "unreadable" in status.out


def test_a_client_that_is_not_here_is_told_with_where_it_was_looked_for(
    person: Person, home: Home
) -> None:
    seen = person.types("setup", "--client", "zed")
    assert seen.code == 1
    looked = "zed or zeditor is not on the PATH, and there is no ~/.config/zed;"
    assert f"Zed is not installed here: {looked}" in seen.err
    assert home.snapshot().keys() == {"opt/buddies"}
    assert "no client was found" in person.types("setup").err
    assert person.types("setup", "--client", "emacs").code == 2


def test_every_client_can_be_set_up_at_once_and_taken_back(person: Person, home: Home) -> None:
    for client in EDITED:
        home.install(client, some_configuration(client))
    before = home.snapshot()
    assert person.types("setup", "--all").code == 0
    states = person.types("setup", "status", "--json").json["clients"]
    assert [it["state"] for it in states] == ["set up"] * (len(CLIENTS) - 1)
    assert person.types("setup", "remove", "--yes").code == 0
    assert home.snapshot() == before


def test_settings_that_only_this_shell_has_are_named_with_how_to_keep_them(
    person: Person, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.install(client_named("cursor"))
    monkeypatch.setenv("BUDDIES_USER", "Ann A.")
    monkeypatch.setenv("BUDDIES_LOG", "debug")
    said = person.types("setup", "--all").err
    assert "To keep it: buddies-cli config set user 'Ann A.'\n" in said
    assert "BUDDIES_LOG" not in said

    person.types("config", "set", "user", "Ann A.")
    assert "To keep it" not in person.types("setup", "--all").err
