"""What is shown is never wider than the terminal, and plain where a program reads it."""

import unicodedata
from dataclasses import replace
from uuid import UUID

import click
import pytest
from rich.cells import cell_len

from buddies_cli.tables import Column, Facts, Page, Prose, Raw, Styled, Table, When
from buddies_cli.terminal import Screen
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.identity import Verified
from buddies_core.model.ids import MemoryId, RoomName, TaskId
from buddies_core.model.room import Member, RoomStatus, TicketReport
from buddies_core.model.task import TaskList
from buddies_core.model.views import MemoryList
from tests.support.fakes.client import BOB, MEMORY
from tests.support.fakes.tasks import WORKING
from tests.unit.cli.conftest import Person

HOSTILE = (
    "日本語の名前がとても長い場合",
    "👩\u200d💻👨\u200d👩\u200d👧 team",
    "שלום עולם",
    "\u202eevil\u202c",
    "\x1b[2J\x1b]0;title\x07boo",
    "e\u0301" * 30,
    "tab\tand\nline",
    "[bold red]markup[/] :smile:",
    "x" * 200,
)
"""What a peer may call itself, or write."""
WIDTHS = (20, 40, 80, 120, 200)
PROGRAM = Screen(None)


def shown_lines(text: str) -> list[str]:
    return click.unstyle(text).splitlines()


def assert_fits(text: str, width: int) -> None:
    for line in shown_lines(text):
        assert cell_len(line) <= width, line
        assert all(
            char == "\u200d" or unicodedata.category(char) not in {"Cc", "Cf"} for char in line
        ), line


def a_room(*names: str) -> RoomStatus:
    members = tuple(
        Member(
            endpoint=BOB,
            name=name,
            agents=(AgentPresence(name=name, status=name), AgentPresence(name="codex")),
            verified=Verified.SIGNER,
            signed_by=f"gpg:{'A' * 40}",
            heard_at_ms=1_700_000_000_000,
        )
        for name in names
    )
    return RoomStatus(
        room=RoomName(names[0]),
        topic=b"",  # type: ignore[arg-type] # nobody looks at it
        members=members,
        neighbors=1,
        joined_at_ms=0,
        warnings=names,
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "typed", ["status", "status a", "rooms", "memory list", "task list", "memory search q"]
)
def test_no_list_is_wider_than_the_terminal_whatever_peers_call_themselves(
    person: Person, monkeypatch: pytest.MonkeyPatch, typed: str, width: int
) -> None:
    daemon = person.machine.daemon
    memories = tuple(
        replace(
            MEMORY,
            id=MemoryId(UUID(int=at)),
            title=text,
            author_name=text,
            agent=text,
            room=RoomName(text),
            content=text,
            tags=(text,),
        )
        for at, text in enumerate(HOSTILE)
    )
    tasks = tuple(
        replace(
            WORKING,
            id=TaskId(UUID(int=at)),
            room=RoomName(text),
            description=text,
            requester_user=text,
            worker_agent=text,
        )
        for at, text in enumerate(HOSTILE)
    )
    answers = {
        "room_status": a_room(*HOSTILE),
        "list_memories": MemoryList(memories, 0),
        "search_memory": replace(daemon.found, results=memories),
        "list_tasks": TaskList(tasks, 0),
    }
    for name, value in answers.items():

        async def answer(*_: object, value: object = value, **__: object) -> object:
            return value

        monkeypatch.setattr(daemon, name, answer)

    seen = person.types_at(width, *typed.split())

    assert (seen.code, seen.out != "") == (0, True)
    assert_fits(seen.out, width)


TABLE = Table(
    (Column("ROOM", wraps=True), Column("KIND"), Column("MEMBERS", right=True)),
    [("feature-a", Styled("open", "green"), "2"), ("日本", "private", "11")],
)


def test_columns_are_aligned_by_what_the_terminal_shows() -> None:
    assert TABLE.text(Screen(40)).split("\n") == [
        "ROOM       KIND     MEMBERS",
        "───────────────────────────",
        "feature-a  open           2",
        "日本       private       11",
    ]


def test_a_table_that_does_not_fit_is_a_list_of_its_rows() -> None:
    assert shown_lines(TABLE.text(Screen(20))) == [
        "feature-a",
        "  kind     open",
        "  members  2",
        "",
        "日本",
        "  kind     private",
        "  members  11",
    ]


def test_a_program_reads_rows_separated_by_tabs_without_headings_or_styles() -> None:
    assert TABLE.text(PROGRAM) == "feature-a\topen\t2\n日本\tprivate\t11"
    assert Facts([("a", "1"), ("b", ""), ("c", "x\ty")]).text(PROGRAM) == "a\t1\nc\tx y"


def test_a_column_with_nothing_in_it_is_left_out_for_people_and_kept_for_programs() -> None:
    table = Table((Column("A"), Column("B"), Column("C")), [("1", "", "3")])
    assert table.text(Screen(40)).split("\n")[0] == "A  C"
    assert table.text(PROGRAM) == "1\t\t3"


def test_grouped_cells_are_shown_once_to_people() -> None:
    table = Table((Column("NAME"), Column("AGENT")), [("bob", "x"), ("bob", "y")], grouped=1)
    assert table.text(Screen(40)).split("\n")[2:] == ["bob   x", "      y"]
    assert table.text(PROGRAM) == "bob\tx\nbob\ty"


def test_people_read_how_long_ago_and_programs_when() -> None:
    table = Table((Column("A"),), [(When(1_000_000_000_000),)])
    assert table.text(PROGRAM) == "2001-09-09T01:46:40Z"
    assert table.text(Screen(40)).endswith("years ago")


def test_prose_wraps_between_words_and_keeps_its_indentation_and_styles() -> None:
    text = f"  {click.style('bold words', bold=True)} go on here"
    assert Prose(text).text(Screen(20, is_styled=True)) == (
        "  \x1b[1mbold words\x1b[0m go on\n  here"
    )
    assert Prose(text).text(Screen(20)) == "  bold words go on\n  here"


def test_what_is_copied_is_never_wrapped() -> None:
    assert Page([Raw("x" * 50)]).text(Screen(20)) == "x" * 50


def test_no_rows_and_no_facts_are_no_text() -> None:
    nothing = Page([Table((Column("A"),), []), Facts([("a", "")]), Prose("")])
    assert [nothing.text(screen) for screen in (PROGRAM, Screen(40))] == ["", ""]


def test_colours_need_a_terminal_that_wants_them(person: Person) -> None:
    assert "\x1b[" in person.types_at(80, "status", "a").out
    for plain in (
        person.types("status", "a"),
        person.types_at(80, "status", "a", NO_COLOR="1"),
        person.types_at(80, "status", "a", TERM="dumb"),
        person.types_at(80, "status", "a", "--json"),
    ):
        assert "\x1b" not in plain.out


def test_a_ticket_is_one_line_at_any_width(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ticket(*_: object, **__: object) -> TicketReport:
        return TicketReport(RoomName("a"), "b" * 300)

    monkeypatch.setattr(person.machine.daemon, "room_ticket", ticket)
    assert shown_lines(person.types_at(40, "ticket", "a").out) == ["b" * 300]
    assert shown_lines(person.types_at(20, "join", "a").out)[-1] == "buddiesticket"
