from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.model import json_view
from buddies_core.model.json_view import JsonObject
from buddies_core.model.skill_file import skill_md
from buddies_mcp import hits
from buddies_mcp.server import TOOLS
from tests.support.callers import a_call
from tests.support.fakes.skill_client import SkillClient
from tests.support.fakes.skills import CHILD, HASH, PAGE, PARENT, SEARCH_RESULT, SKILL, VOTED


async def call(daemon: SkillClient, tool: str, **given: object) -> JsonObject:
    return await TOOLS[tool].ask(daemon, TOOLS[tool].check(given), a_call())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("tool", "given", "question"),
    [
        (
            "publish_skill",
            {"room": "a", "title": "t", "content": "c"},
            ("publish_skill", "a", "t", "c", (), 0, ""),
        ),
        (
            "publish_skill",
            {
                "room": "a", "title": "t", "content": "c", "tags": ["x"], "version": 2,
                "parent_hash": PARENT,
            },
            ("publish_skill", "a", "t", "c", ("x",), 2, PARENT),
        ),
        ("search_skills", {"query": "q"}, ("search_skills", "q", None, (), 3.0, 20)),
        (
            "search_skills",
            {"query": "q", "room": "a", "tags": ["x"], "timeout_secs": 1, "limit": 2},
            ("search_skills", "q", "a", ("x",), 1.0, 2),
        ),
        ("vote_skill", {"room": "a", "hash": HASH, "score": -1}, ("vote_skill", "a", HASH, -1)),
        ("get_skill", {"hash": HASH}, ("get_skill", HASH, 0, 20_000)),
        ("get_skill", {"hash": HASH, "offset": 3, "limit": 2}, ("get_skill", HASH, 3, 2)),
        ("search_skills", {}, ("list_skills", None, (), 20)),
        ("search_skills", {"query": " ", "cursor": "here"}, ("list_skills", None, (), 20, "here")),
        (
            "search_skills",
            {"room": "a", "tags": ["x"], "limit": 2},
            ("list_skills", "a", ("x",), 2),
        ),
        (
            "install_skill",
            {"hash": HASH, "client": "claude"},
            ("get_skill", HASH, 0, 40_000),
        ),
    ],
)  # fmt: skip
async def test_a_tool_asks_the_daemon_one_question(
    home: Path, tool: str, given: dict[str, object], question: tuple[object, ...]
) -> None:
    daemon = SkillClient()
    await call(daemon, tool, **given)
    assert daemon.asked == [question]


async def test_the_keys_of_0_1_4_are_there() -> None:
    shown = await call(SkillClient(), "publish_skill", room="feature-a", title="t", content="c")
    assert {key: shown[key] for key in (
        "hash", "author", "room", "title", "content", "tags", "version", "parent_hash",
        "signed_by", "timestamp", "rank",
    )} == {
        "hash": HASH, "author": SKILL.author, "room": "feature-a", "title": "t", "content": "c",
        "tags": ["ci", "release"], "version": 2, "parent_hash": PARENT,
        "signed_by": "ssh:ssh-ed25519 AAAA bob", "timestamp": 1_700_000_000, "rank": 2,
    }  # fmt: skip
    voted = await call(SkillClient(), "vote_skill", room="a", hash=HASH, score=-1)
    assert voted == {
        "voted": True, "hash": HASH, "your_score": -1, "new_rank": 2, "counted": False,
    }  # fmt: skip
    assert json_view.vote_json(VOTED) == voted


async def test_results_say_who_answered_and_pages_show_the_versions() -> None:
    found = await call(SkillClient(), "search_skills", query="q")
    assert found == hits.search_json(SEARCH_RESULT, hits.skill_hit)
    page = await call(SkillClient(), "get_skill", hash=HASH)
    assert page["diff_from_parent"] == PAGE.diff
    chain = page["chain"]
    assert isinstance(chain, list)
    assert [version["hash"] for version in chain if isinstance(version, dict)] == [PARENT, HASH]


@pytest.mark.parametrize("score", [0, 2, 127, 0.5, "0"])
async def test_a_vote_is_plus_or_minus_one(score: object) -> None:
    with pytest.raises(InvalidInput, match="score"):
        await call(SkillClient(), "vote_skill", room="a", hash=HASH, score=score)


async def test_installing_takes_two_calls_and_the_first_writes_nothing(home: Path) -> None:
    daemon = SkillClient()
    file = home / ".claude/skills/release/SKILL.md"

    shown = await call(daemon, "install_skill", hash=HASH, client="claude")
    assert not file.exists()
    assert (shown["installed"], shown["path"], shown["author_name"], shown["verified"]) == (
        False,
        str(file),
        "bob",
        "signer",
    )
    assert "+1. run make release" in str(shown["diff"]).splitlines()

    done = await call(daemon, "install_skill", hash=HASH, client="claude", confirm=shown["confirm"])
    assert (done["installed"], "confirm" in done) == (True, False)
    assert file.read_text() == skill_md(SKILL, "release")


async def test_a_made_up_confirmation_installs_nothing(home: Path) -> None:
    with pytest.raises(NotAllowed, match="without confirm"):
        await call(SkillClient(), "install_skill", hash=HASH, client="project", confirm="true")
    assert not (home / ".agents/skills/release").exists()


async def test_the_confirmation_of_one_skill_is_not_that_of_another(home: Path) -> None:
    daemon = SkillClient()
    other = replace(SKILL, hash=CHILD, content="rm -rf /")
    daemon.pages[CHILD] = replace(PAGE, skill=other)
    shown = await call(daemon, "install_skill", hash=HASH, client="codex")

    with pytest.raises(NotAllowed):
        await call(daemon, "install_skill", hash=CHILD, client="codex", confirm=shown["confirm"])
    assert not (home / ".codex/skills/release").exists()
