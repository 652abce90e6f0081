"""Records as lines of JSON, and what is not such a line."""

import json
from base64 import b64encode
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import Memory, MemoryKind
from buddies_core.model.skill import Skill, Vote
from buddies_core.transfer.lines import Plain, Proven, line_of, parse_line, proof_line
from tests.support.memories import DEMO, a_memory, an_entry, memory_id
from tests.support.skills import a_skill, announced
from tests.support.stores import MEMORIES, OPS, SKILL, VOTE


def test_a_line_has_what_a_person_wants_to_read() -> None:
    entry = an_entry(tags=("db",), references=(memory_id(7),), content="日本\n語")
    memory = a_memory(entry, proof=b"\0\1")
    line = line_of(memory)

    assert b"\n" not in line
    assert json.loads(line) == {
        "type": "memory",
        "id": str(entry.id),
        "kind": "decision",
        "title": "Database",
        "content": "日本\n語",
        "tags": ["db"],
        "references": [str(memory_id(7))],
        "room": "demo",
        "author": entry.author,
        "author_name": "alice",
        "agent": "claude",
        "created_at_s": 1_700_000_000,
        "verified": "peer",
        "proof": "AAE=",
    }


@pytest.mark.parametrize("record", [*MEMORIES, SKILL, VOTE, a_skill()])
def test_what_is_exported_is_read_as_its_proof_and_content(record: Memory | Skill | Vote) -> None:
    whole = not isinstance(record, Vote) and not record.truncated
    content = record.entry.content if whole and not isinstance(record, Vote) else None
    assert parse_line(DEMO, line_of(record)) == Proven(record.proof, content)


def test_a_content_that_is_not_all_here_is_not_in_the_line() -> None:
    assert "content" not in json.loads(line_of(announced(SKILL)))
    assert parse_line(DEMO, proof_line(b"proof")) == Proven(b"proof", None)


def test_a_line_without_a_proof_is_a_memory_with_an_id_of_its_own() -> None:
    line = json.dumps(
        {
            "content": "x",
            "title": "t",
            "kind": "status",
            "tags": ["a"],
            "references": [str(memory_id(7))],
            "created_at_s": 5,
            "anything": {"else": 1},
        }
    ).encode()
    plain = parse_line(DEMO, line)

    assert isinstance(plain, Plain)
    assert plain == Plain(
        id=plain.id,
        title="t",
        content="x",
        kind=MemoryKind.STATUS,
        tags=("a",),
        references=(memory_id(7),),
        created_at_s=5,
    )
    assert plain.id.version == 4
    assert parse_line(DEMO, b" " + line + b"\n") == plain
    assert parse_line(OPS, line) != plain
    least = parse_line(DEMO, b'{"content":"x"}')
    assert least == replace(
        plain,
        id=MemoryId(UUID(str(getattr(least, "id", "")))),
        title="",
        kind=MemoryKind.CONTEXT,
        tags=(),
        references=(),
        created_at_s=None,
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not a line of JSON"),
        (b"\xff", "not a line of JSON"),
        (b"[" * 100_000, "not a line of JSON"),
        (b"[1]", "not an object"),
        (b"{}", "neither a proof nor a content"),
        (b'{"proof": 5}', "proof is not base64"),
        (b'{"proof": "a"}', "proof is not base64"),
        (b'{"proof": "AAE=", "content": 5}', "content is not a text"),
        (b'{"content": 5}', "content is not a text"),
        (b'{"content": "\\ud800"}', "content is not a text"),
        (b'{"content": "x", "kind": "no"}', "kind is none of decision,"),
        (b'{"content": "x", "tags": "a"}', "tags are not a list of texts"),
        (b'{"content": "x", "tags": ["\\ud800"]}', "tags are not a list of texts"),
        (b'{"content": "x", "references": ["7"]}', "'7' is not the id of a memory"),
        (b'{"content": "x", "created_at_s": -1}', "created_at_s is not a time"),
        (b'{"content": "x", "created_at_s": true}', "created_at_s is not a time"),
    ],
)
def test_what_is_no_such_line_is_refused_with_the_reason(line: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_line(DEMO, line)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_line_or_refused(line: bytes) -> None:
    for data in (line, b'{"proof":"' + b64encode(line) + b'"}'):
        try:
            assert isinstance(parse_line(DEMO, data), Plain | Proven)
        except InvalidInput as error:
            assert str(error)  # noqa: PT017 - it may also be a good line
