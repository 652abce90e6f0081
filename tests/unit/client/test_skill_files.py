"""Installing, updating and removing skills in a directory that others use too."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.client.skill_files import LOCK_FILE, SkillDirectory
from buddies_core.errors import InvalidInput, NotAllowed, NotFound, StoreError
from buddies_core.model.skill_file import SkillHost, skill_md
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.skills import CHILD, SKILL

NEWER = replace(SKILL, hash=CHILD, version=3, content=SKILL.content + "\n3. tell the team")


@pytest.fixture
def directory(tmp_path: Path) -> SkillDirectory:
    return SkillDirectory(SkillHost.CLAUDE, tmp_path / "skills")


def installed(directory: SkillDirectory) -> Path:
    plan = directory.plan(SKILL)
    directory.install(plan, plan.confirm, ManualClock())
    return directory.path(plan.name)


@pytest.mark.parametrize(
    ("host", "environ", "root"),
    [
        (SkillHost.CLAUDE, {}, "home/.claude/skills"),
        (SkillHost.CLAUDE, {"CLAUDE_CONFIG_DIR": "/c"}, "/c/skills"),
        (SkillHost.CODEX, {}, "home/.codex/skills"),
        (SkillHost.CODEX, {"CODEX_HOME": "/x"}, "/x/skills"),
        (SkillHost.OPENCODE, {}, "home/.config/opencode/skills"),
        (SkillHost.OPENCODE, {"XDG_CONFIG_HOME": "/xdg"}, "/xdg/opencode/skills"),
        (SkillHost.OPENCLAW, {}, "home/.openclaw/skills"),
        (SkillHost.CURSOR, {}, "home/.cursor/skills"),
        (SkillHost.PROJECT, {}, "project/.agents/skills"),
    ],
)
def test_each_client_has_its_directory(
    tmp_path: Path, host: SkillHost, environ: dict[str, str], root: str
) -> None:
    environ = {"HOME": str(tmp_path / "home"), **environ}
    found = SkillDirectory.of(host, environ, tmp_path / "project").root
    assert found == tmp_path / root


def test_an_older_opencode_keeps_its_directory(tmp_path: Path) -> None:
    older = tmp_path / ".config/opencode/skill"
    older.mkdir(parents=True)
    environ = {"HOME": str(tmp_path)}
    assert SkillDirectory.of(SkillHost.OPENCODE, environ, tmp_path).root == older


def test_a_plan_writes_nothing(directory: SkillDirectory) -> None:
    plan = directory.plan(SKILL)

    assert (plan.name, plan.replaces) == ("release", None)
    assert plan.diff.splitlines()[2] == "+---"
    assert not directory.root.exists()


def test_what_was_shown_is_installed_and_locked(directory: SkillDirectory) -> None:
    path = installed(directory)

    assert path.read_text() == skill_md(SKILL, "release")
    [known] = directory.installed()
    assert (known.name, known.hash, known.signed_by, known.version) == (
        "release",
        SKILL.hash,
        SKILL.signed_by,
        2,
    )
    assert known == directory.find("release")
    assert sorted(p.name for p in directory.root.iterdir()) == [LOCK_FILE, "release"]


def test_without_the_plans_word_nothing_is_installed(directory: SkillDirectory) -> None:
    plan = directory.plan(SKILL)
    for confirm in ("", "yes", directory.plan(NEWER).confirm):
        with pytest.raises(NotAllowed, match="preview"):
            directory.install(plan, confirm, ManualClock())
    assert directory.installed() == ()
    assert not Path(plan.path).exists()


def test_what_changed_after_it_was_shown_is_not_installed(directory: SkillDirectory) -> None:
    path = installed(directory)
    plan = directory.plan(NEWER)
    path.write_text("mine now")

    with pytest.raises(NotAllowed, match="changed since"):
        directory.install(plan, plan.confirm, ManualClock())
    assert path.read_text() == "mine now"


def test_an_update_shows_what_it_changes_and_what_would_be_lost(
    directory: SkillDirectory,
) -> None:
    path = installed(directory)
    assert directory.plan(NEWER).diff.splitlines()[-1] == "+3. tell the team"
    assert directory.plan(NEWER).warnings == directory.plan(SKILL).warnings
    path.write_text(path.read_text() + "a note of mine\n")

    plan = directory.plan(NEWER)
    assert "-a note of mine" in plan.diff.splitlines()
    assert plan.warnings[-1].startswith("it was changed here")
    assert plan.replaces == directory.find("release")
    directory.install(plan, plan.confirm, ManualClock())
    assert directory.find("release").hash == CHILD


def test_line_endings_are_not_taken_for_changes(directory: SkillDirectory) -> None:
    skill = replace(SKILL, content="one\r\ntwo\rthree\n")
    plan = directory.plan(skill)
    directory.install(plan, plan.confirm, ManualClock())

    assert directory.path(plan.name).read_bytes().endswith(b"\n\none\r\ntwo\rthree\n")
    assert directory.plan(skill).warnings == plan.warnings
    directory.uninstall(plan.name)
    assert directory.installed() == ()


def test_what_buddies_has_not_installed_is_not_touched(directory: SkillDirectory) -> None:
    (directory.root / "release").mkdir(parents=True)
    with pytest.raises(NotAllowed, match="not installed by buddies"):
        directory.plan(SKILL)
    with pytest.raises(NotFound, match="no skill 'release'"):
        directory.uninstall("release")
    assert directory.plan(SKILL, "release-2").name == "release-2"


def test_a_symbolic_link_is_not_followed(directory: SkillDirectory, tmp_path: Path) -> None:
    path = installed(directory)
    target = tmp_path / "precious"
    target.write_text("precious")
    path.unlink()
    path.symlink_to(target)

    with pytest.raises(NotAllowed, match="symbolic link"):
        directory.plan(NEWER)
    with pytest.raises(NotAllowed, match="symbolic link"):
        directory.uninstall("release")
    assert target.read_text() == "precious"


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b"])
def test_no_name_leads_out_of_the_directory(directory: SkillDirectory, name: str) -> None:
    for act in (lambda: directory.plan(SKILL, name), lambda: directory.uninstall(name)):
        with pytest.raises(InvalidInput):
            act()


def test_a_truncated_skill_is_not_installed(directory: SkillDirectory) -> None:
    with pytest.raises(InvalidInput, match="all of its content"):
        directory.plan(replace(SKILL, truncated=True))


def test_uninstalling_leaves_what_others_put_there(directory: SkillDirectory) -> None:
    path = installed(directory)
    (path.parent / "notes.md").write_text("mine")

    assert directory.uninstall("release").hash == SKILL.hash
    assert [p.name for p in path.parent.iterdir()] == ["notes.md"]
    assert directory.installed() == ()


def test_what_was_changed_is_removed_only_by_force(directory: SkillDirectory) -> None:
    path = installed(directory)
    path.write_text("mine")

    with pytest.raises(NotAllowed, match="--force"):
        directory.uninstall("release")
    directory.uninstall("release", force=True)
    assert not path.parent.exists()


def test_a_file_that_is_gone_can_be_installed_again_or_forgotten(
    directory: SkillDirectory,
) -> None:
    path = installed(directory)
    path.unlink()
    installed(directory)
    assert path.exists()
    path.unlink()
    directory.uninstall("release")
    assert directory.installed() == ()


@pytest.mark.parametrize(
    "lock", ["", "[]", '{"version": 2, "skills": {}}', '{"version": 1, "skills": {"../x": {}}}']
)
def test_a_damaged_lock_file_is_named_and_kept(directory: SkillDirectory, lock: str) -> None:
    directory.root.mkdir()
    (directory.root / LOCK_FILE).write_text(lock)

    with pytest.raises(StoreError, match=LOCK_FILE):
        directory.plan(SKILL)
    assert (directory.root / LOCK_FILE).read_text() == lock


def test_the_lock_file_is_for_people_too(directory: SkillDirectory) -> None:
    installed(directory)
    lock = json.loads((directory.root / LOCK_FILE).read_text())
    assert list(lock["skills"]) == ["release"]
    assert lock["skills"]["release"]["hash"] == SKILL.hash


def test_without_a_home_only_the_project_has_a_directory_for_skills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)  # who is in no list of users

    assert SkillDirectory.of(SkillHost.PROJECT, {}, tmp_path).root == tmp_path / ".agents/skills"
    with pytest.raises(InvalidInput, match="set HOME"):
        SkillDirectory.of(SkillHost.CURSOR, {}, tmp_path)
