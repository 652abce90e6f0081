"""Exports, imports, backups and checks, as a person types them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.model.transfer import BackedUp, Exported, Imported, Verified
from buddies_core.model.views import DiskUse, Used
from tests.support.fakes import client as client_module
from tests.support.fakes.client import FakeClient
from tests.support.fakes.stores import EXPORTED, VERIFIED, FakeKeeping, FakeTransfer
from tests.unit.cli.conftest import Person


class FilesClient(FakeClient):
    """Has what the fakes of the services have."""

    def __init__(self) -> None:
        super().__init__()
        self.transfer = FakeTransfer()
        self.calls: list[int] = []

    async def export(self, room: str) -> AsyncGenerator[Exported]:
        for part in EXPORTED:
            yield part

    async def import_lines(self, room: str, lines: Sequence[bytes]) -> Imported:
        self.calls.append(len(lines))
        return await self.transfer.import_lines(room, lines)  # type: ignore[arg-type] # a test

    async def back_up(self, directory: str) -> BackedUp:
        return await FakeKeeping().back_up(directory)

    async def verify_store(self) -> AsyncGenerator[Verified]:
        for state in VERIFIED:
            yield state


@pytest.fixture
def client(person: Person) -> FilesClient:
    person.machine.daemon = client = FilesClient()
    return client


def test_an_export_is_a_file_of_lines_that_has_its_name_once_it_is_whole(
    person: Person, client: FilesClient, tmp_path: Path
) -> None:
    file = tmp_path / "demo.jsonl"
    seen = person.types("memory", "export", "demo", str(file))

    assert (seen.code, seen.out) == (0, f"Wrote 2 lines to {file}\n")
    assert seen.err == "left out because it is damaged: memory 7 is damaged\n"
    assert file.read_bytes() == b'{"type":"memory"}\n{"type":"vote"}\n'
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_to_a_place_that_is_not_there_says_so(
    person: Person, client: FilesClient, tmp_path: Path
) -> None:
    seen = person.types("memory", "export", "demo", str(tmp_path / "no" / "demo.jsonl"))
    assert (seen.code, seen.out) == (2, "")
    assert "can't be written: No such file or directory" in seen.err


def test_an_import_goes_in_batches_and_names_refused_lines_by_their_numbers_in_the_file(
    person: Person, client: FilesClient, tmp_path: Path
) -> None:
    file = tmp_path / "demo.jsonl"
    lines = [b"{%d}\n" % number for number in range(1200)]
    lines[3], lines[700] = b"\n", b"nonsense\n"
    file.write_bytes(b"".join(lines))

    seen = person.types("memory", "import", "demo", str(file), "--json")
    assert (seen.code, client.calls) == (1, [499, 500, 200])
    assert seen.json == {
        "room": "demo",
        "imported": 1198,
        "known": 0,
        "refused": [{"line": 701, "reason": "it is not JSON"}],
    }
    seen = person.types("memory", "import", "demo", str(file))
    assert seen.out == "Imported 0; 1198 were here; 1 were refused\n"
    assert seen.err == "line 701 was refused: it is not JSON\n"


def test_a_backup_is_made_at_a_whole_path(person: Person, client: FilesClient) -> None:
    seen = person.types("backup", "monday")
    place = Path("monday").absolute()
    assert (seen.code, seen.out) == (0, f"Backed up 7 memories, 5MiB, to {place}\n")


def test_a_restore_asks_first(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert person.types("restore", str(tmp_path)).code == 130
    assert person.machine.restored == []

    seen = person.types("restore", str(tmp_path), "--yes")
    assert (seen.code, seen.out) == (0, "Restored 7 memories.\n")
    assert person.machine.restored == [tmp_path]


def test_a_check_names_what_is_damaged_and_ends_with_1(person: Person, client: FilesClient) -> None:
    seen = person.types("store", "verify")
    assert (seen.code, seen.out) == (1, "502 records read, 1 damaged\n")
    assert seen.err == "damaged: memory 7: its bytes are not a record\n"
    assert person.types("store", "verify", "--json").json == {
        "records": 502,
        "damaged": ["memory 7: its bytes are not a record"],
    }


def test_status_says_how_much_of_the_disk_the_rooms_use(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskUse(
        room_quota=1 << 30, rooms=(Used("feature-a", 12 << 20), Used("ops\x1b[31m", 1 << 20))
    )
    monkeypatch.setattr(client_module, "STATUS", replace(client_module.STATUS, disk=disk))
    expected = "13MiB in rooms, most of it in feature-a: 12MiB of 1GiB"
    for command in (("status",), ("daemon", "status")):
        assert expected in person.types(*command).out
    seen = person.types("daemon", "status", "--json").json
    assert seen["disk"]["rooms"] == {"feature-a": 12 << 20, "ops\x1b[31m": 1 << 20}
