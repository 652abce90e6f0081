"""The index over a store in memory: what is found, and what survives."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from buddies_core.asking.question import scope_of
from buddies_core.errors import InvalidInput, StoreError
from buddies_core.finding import lexical
from buddies_core.finding.document import Scope, scope
from buddies_core.finding.embedder import Embedder, ModelUnavailable
from buddies_core.finding.index import Index, IndexHit
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.amendment import Erased
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKey, MemoryKind
from tests.support.eventually import until
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import BOB, DEMO, a_memory, an_entry, whole_of

IN_DEMO = scope(room=DEMO)

DISTRACTORS = """
The CI set-up takes nine minutes, most of it installing packages
Set up your editor with the shared formatter before the first commit
How releases are set up: tag main, the pipeline does the rest
The staging cluster has three nodes and is rebooted every Sunday night
Alice owns the login page, Bob the billing service
We retry failed uploads five times with growing pauses
Feature flags live in config/flags.toml and are read at start
The mobile app talks to the gateway over gRPC
Buttons are blue and have round corners
User avatars are resized to 256 pixels in a background job
Tables in reports are sorted by date unless the reader asks otherwise
Logs are kept for thirty days, then deleted
The API answers 429 when a client sends more than 100 requests a minute
Passwords are hashed with argon2id
Error messages name what went wrong and what to do next
The search page loads slowly on old phones
Payments go through Stripe, refunds are done by hand
Nightly tests run against a copy of last week's traffic
The design review is every Tuesday at ten
We moved the documentation from the wiki into the repository
Sessions expire after twelve hours without a request
The Kafka topic orders.v2 has twelve partitions
Docker images are built from the slim base and scanned on push
Translations come from the vendor as JSON files every month
The cache in front of the catalogue is Redis with a one-hour expiry
Metrics are scraped every fifteen seconds and shown in Grafana
Our on-call week begins on Monday at nine
Time zones: everything is UTC until it is shown to a person
The old importer chokes on files above two gigabytes
Type checks are strict in new modules, lenient in legacy ones
""".strip().splitlines()


@asynccontextmanager
async def index_of(
    store: InMemoryStore, directory: Path, embedder: ToyEmbedder | None = None
) -> AsyncIterator[Index]:
    async with Index.open(directory, MemoryDocuments(store), embedder or ToyEmbedder()) as index:
        yield index


async def keep(store: InMemoryStore, *contents: str, first: int = 1) -> list[MemoryKey]:
    memories = [
        a_memory(an_entry(number, title="", content=content))
        for number, content in enumerate(contents, start=first)
    ]
    for memory in memories:
        assert await store.put_memory(memory)
    return [memory.key for memory in memories]


def keys(hits: Sequence[IndexHit]) -> list[bytes]:
    return [hit.key for hit in hits]


async def by_words(index: Index, query: str, within: Scope = IN_DEMO) -> list[bytes]:
    return [*keys(await index.search(query, None, within, 10))]


async def by_meaning(index: Index, query: str, within: Scope = IN_DEMO) -> list[bytes]:
    """Ask with words that no memory has, so that only the vector finds."""
    return keys(await index.search("xyzzy", ToyEmbedder().vector(query), within, 10))


async def test_what_was_stored_before_the_search_is_found_by_its_words(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [users, tables] = await keep(store, "the user table", "tables for users and groups")
        assert await by_words(index, "user tables") == [users, tables]
        [later] = await keep(store, "a third user table", first=3)
        assert sorted(await by_words(index, "user tables")) == sorted([users, tables, later])


async def test_what_was_stored_before_the_search_is_found_by_its_meaning(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [postgres, _] = await keep(store, "it is postgresql", "buttons are blue")
        assert await by_meaning(index, "database") == [postgres]


async def test_a_hit_of_both_halves_comes_first(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [both, meaning, words] = await keep(
            store, "postgresql for users", "a postgresql cluster", "users sign in here"
        )
        hits = await index.search("users", ToyEmbedder().vector("database"), IN_DEMO, 10)
        assert keys(hits)[0] == both
        assert sorted(keys(hits)) == sorted([both, meaning, words])
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_a_chance_word_in_common_does_not_outrank_the_meaning(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        junk = [f"{name} keeps the shared records" for name in ("ann", "bea", "cat", "dot")]
        answer, *_ = await keep(store, "it is postgresql", *junk)
        query = "where would somebody keep all persistent customer account records nowadays"
        hits = await index.search(query, ToyEmbedder().vector("database"), IN_DEMO, 10)
        assert keys(hits)[0] == answer


async def test_how_the_db_is_set_up_is_found_first_by_the_real_model(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with (
        Embedder.open() as embedder,
        Index.open(tmp_path, MemoryDocuments(store), embedder) as index,
    ):
        [*_, wanted] = await keep(store, *DISTRACTORS, "We're using PostgreSQL for the user table")
        query = "how is the DB set up?"
        vector = await embedder.embed_query(query)
        found = await index.search(query, vector, IN_DEMO, 5, wait_s=10)
        assert keys(found)[0] == wanted


async def test_at_most_limit_memories_are_found(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        await keep(store, *(f"note {number}" for number in range(30)))
        assert len(await index.search("note", None, IN_DEMO, 3)) == 3


@pytest.mark.parametrize(
    "filter",
    [
        MemoryFilter(room=DEMO),
        MemoryFilter(room=RoomName("ops")),
        MemoryFilter(room=RoomName("dem")),
        MemoryFilter(room=DEMO, kind=MemoryKind.STATUS),
        MemoryFilter(room=DEMO, tags=("db",)),
        MemoryFilter(room=DEMO, tags=("nothing", "ui")),
        MemoryFilter(room=DEMO, author=BOB.hex().upper()),
        MemoryFilter(room=DEMO, author="BOB"),
        MemoryFilter(room=DEMO, since_ms=1_700_000_050_001),
        MemoryFilter(room=DEMO, since_ms=2**64 - 1),
        MemoryFilter(room=DEMO, since_ms=-1),
        MemoryFilter(room=DEMO, kind=MemoryKind.DECISION, tags=("db",), author="alice"),
        MemoryFilter(room=DEMO, tags=("x" * 100_000,)),
    ],
)
async def test_both_halves_find_just_what_the_filter_admits(
    filter: MemoryFilter, tmp_path: Path
) -> None:
    memories = [
        a_memory(entry, author_name=name)
        for entry, name in (
            (an_entry(1, tags=("db", "ui")), "alice"),
            (an_entry(2, room=RoomName("ops"), tags=("db",)), "alice"),
            (an_entry(3, author=BOB, kind=MemoryKind.STATUS), "Bob"),
            (an_entry(4, author=BOB, tags=("ui",), created_at_s=1_700_000_050), "bob"),
            (an_entry(5, tags=("a\0b", "db\0room:ops"), created_at_s=2**64 - 1), "alice"),
        )
    ]
    store = InMemoryStore()
    for memory in memories:
        await store.put_memory(memory)
    admitted = sorted(memory.key for memory in memories if filter.admits(memory))
    async with index_of(store, tmp_path) as index:
        assert sorted(await by_words(index, "postgresql", scope_of(filter))) == admitted
        assert sorted(await by_meaning(index, "postgresql", scope_of(filter))) == admitted


async def test_a_replaced_memory_is_found_by_what_it_says_now(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        content = "blue buttons, said at more length"
        shortened, whole = (
            a_memory(an_entry(title="", content=part), whole=whole_of(content), proof=b"proof")
            for part in ("postgresql it is", content)
        )
        for memory in (shortened, whole):
            assert await store.put_memory(memory)
            assert await index.catch_up(60)
        found = (
            await by_words(index, "postgresql"),
            await by_words(index, "buttons"),
            await by_meaning(index, "database"),
            await by_meaning(index, "colour"),
        )
        assert found == ([], [whole.key], [], [whole.key])
        assert index.state() == "1 memories, 0 waiting"


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("\u6211\u4eec\u7528\u6570\u636e\u5e93\u4fdd\u5b58\u7528\u6237", "\u6570\u636e\u5e93"),
        (
            "\u30e6\u30fc\u30b6\u30fc\u8868\u306fPostgreSQL\u3067\u3059",
            "\u30e6\u30fc\u30b6\u30fc",
        ),
        ("\u0e10\u0e32\u0e19\u0e02\u0e49\u0e2d\u0e21\u0e39\u0e25", "\u0e02\u0e49\u0e2d\u0e21"),
        ("Die Straße zur Datenbank", "STRASSE"),
        ("call getUserById(42) first", "getuserbyid"),
        ("ticket PG-1234 is closed", "what is PG-1234?"),
        ("the PostgreSQL cluster", "ostgre"),
        ("set in src/app/config.toml", "config.toml"),
    ],
)
async def test_words_are_found_in_whatever_script_and_shape(
    content: str, query: str, tmp_path: Path
) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [wanted, _] = await keep(store, content, "something else")
        assert await by_words(index, query) == [wanted]


async def test_title_and_tags_are_words_of_a_memory(tmp_path: Path) -> None:
    store = InMemoryStore()
    memory = a_memory(an_entry(title="Sessions", content="in the table", tags=("redis",)))
    await store.put_memory(memory)
    async with index_of(store, tmp_path) as index:
        assert await by_words(index, "session") == [memory.key]
        assert await by_words(index, "redis") == [memory.key]


async def test_a_question_of_stop_words_alone_finds_only_by_meaning(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [wanted] = await keep(store, "what is this it is postgresql")
        assert await by_words(index, "is it the") == []
        hits = await index.search("is it the", ToyEmbedder().vector("database"), IN_DEMO, 10)
        assert keys(hits) == [wanted]


async def test_a_fact_in_a_long_memory_is_found_by_its_meaning(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        filler = "We talked about many things and noted each. " * 200
        [wanted, _] = await keep(store, filler + "It is postgresql now. " + filler, filler)
        assert await by_meaning(index, "database") == [wanted]


async def test_a_query_may_be_any_text(tmp_path: Path) -> None:
    store = InMemoryStore()
    await keep(store, "the user table")
    async with index_of(store, tmp_path) as index:
        assert await by_words(index, "user AND (table] OR * \"'\\ +-/: \0 " * 3000) != []
        # One index for all examples, as it takes a while to make one.
        for query in ("", " ", "*", "\0", '"', ".*", "\U0001f600", "a" * 200_000, "\u6570"):
            assert await by_words(index, query) == []


async def test_a_vector_of_another_shape_is_refused(tmp_path: Path) -> None:
    async with index_of(InMemoryStore(), tmp_path) as index:
        with pytest.raises(InvalidInput, match="384 numbers, not 3"):
            await index.search("a", np.ones(3, np.float32), IN_DEMO, 10)


async def test_noticed_memories_are_indexed_without_a_search(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    async with index_of(store, tmp_path, embedder) as index:
        await keep(store, "it is postgresql", "buttons are blue")
        assert index.state() == "0 memories, 2 waiting; 2 not yet found by meaning"
        index.notice()
        await until(lambda: index.state() == "2 memories, 0 waiting")
        assert embedder.texts == ["it is postgresql", "buttons are blue"]


async def test_words_do_not_wait_for_a_slow_model(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    async with index_of(store, tmp_path, embedder) as index:
        embedder.free.clear()
        [wanted] = await keep(store, "it is postgresql")
        hits = await index.search(
            "postgresql", embedder.vector("database"), IN_DEMO, 10, wait_s=0.05
        )
        assert (keys(hits), index.state()) == (
            [wanted],
            "1 memories, 0 waiting; 1 not yet found by meaning",
        )
        assert await index.catch_up(0.01) is False
        embedder.free.set()
        assert await index.catch_up(60) is True
        assert await by_meaning(index, "database") == [wanted]


async def test_a_search_does_not_wait_while_many_memories_are_embedded(tmp_path: Path) -> None:
    """With so many behind, each search of a rebuild would take its whole time to wait."""
    store, embedder = InMemoryStore(), ToyEmbedder()
    async with index_of(store, tmp_path, embedder) as index:
        embedder.free.clear()
        await keep(store, *(f"note {number}" for number in range(40)))
        async with asyncio.timeout(5):
            hits = await index.search("note", embedder.vector("note"), IN_DEMO, 50, wait_s=60)
        assert len(hits) == 40


async def test_a_search_does_not_wait_while_a_long_text_is_embedded(tmp_path: Path) -> None:
    """Its thousands of passages would hold up each search by its whole time to wait."""
    store, embedder = InMemoryStore(), ToyEmbedder()
    async with index_of(store, tmp_path, embedder) as index:
        embedder.free.clear()
        await keep(store, "A note on postgresql. " * 1_000)
        async with asyncio.timeout(5):
            hits = await index.search("note", embedder.vector("note"), IN_DEMO, 50, wait_s=60)
        assert (len(hits), await index.catch_up(0.01)) == (1, False)
        embedder.free.set()
        assert await index.catch_up(60) is True


async def test_without_a_model_words_are_found_at_once(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    embedder.failure = ModelUnavailable("the model is gone")
    async with index_of(store, tmp_path, embedder) as index:
        [wanted] = await keep(store, "it is postgresql")
        async with asyncio.timeout(5):
            hits = await index.search("postgresql", embedder.vector("a"), IN_DEMO, 10, wait_s=60)
            assert keys(hits) == [wanted]
            assert await index.catch_up(60) is False


async def test_an_index_that_is_opened_again_embeds_only_what_is_new(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    async with index_of(store, tmp_path, embedder) as index:
        [postgres] = await keep(store, "it is postgresql")
        assert await index.catch_up(60)
    [release] = await keep(store, "a release is due", first=2)
    async with index_of(store, tmp_path, embedder) as index:
        assert await index.catch_up(60)
        assert embedder.texts == ["it is postgresql", "a release is due"]
        assert await by_meaning(index, "database") == [postgres]
        assert await by_meaning(index, "deploy") == [release]
        assert await by_words(index, "postgresql") == [postgres]


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


def _words(directory: Path) -> Path:
    [path] = directory.glob("words*")
    return path


def _overwrite(pattern: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        for path in _words(directory).glob(pattern):
            path.write_bytes(b"\xff" * path.stat().st_size)

    return damage


def _cut_short(pattern: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        for path in _words(directory).glob(pattern):
            os.truncate(path, path.stat().st_size // 2)

    return damage


def _vectors(directory: Path, name: str) -> Path:
    [path] = directory.glob(f"vectors-*/{name}")
    return path


HARM: dict[str, Callable[[Path], None]] = {
    "all is gone": shutil.rmtree,
    "the words are gone": lambda directory: shutil.rmtree(_words(directory)),
    "the list of segments is gone": lambda directory: (_words(directory) / "meta.json").unlink(),
    "the list of segments is damaged": _overwrite("meta.json"),
    "the list of segments is empty": lambda directory: os.truncate(
        _words(directory) / "meta.json", 0
    ),
    "the term dictionaries are damaged": _overwrite("*.term"),
    "the postings are damaged": _overwrite("*.idx"),
    "the stored fields are damaged": _overwrite("*.store"),
    "the numbers are cut short": _cut_short("*.fast"),
    "a bit of the postings is flipped": lambda directory: _flip(
        next(_words(directory).glob("*.idx")), 3
    ),
    "the vectors are gone": lambda directory: shutil.rmtree(_vectors(directory, "rows").parent),
    "the vectors are empty": lambda directory: os.truncate(_vectors(directory, "rows"), 0),
    "the list of vectors is gone": lambda directory: _vectors(directory, "documents").unlink(),
    "a vector is damaged": lambda directory: _flip(_vectors(directory, "rows"), 300),
    "a label is damaged": lambda directory: _flip(_vectors(directory, "documents"), 3),
    "the last vector is torn": lambda directory: os.truncate(_vectors(directory, "rows"), 1000),
    "the keys are cut short": lambda directory: os.truncate(_vectors(directory, "keys"), 80),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
async def test_whatever_happens_to_its_files_nothing_is_lost(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    directory, store = tmp_path / "index", InMemoryStore()
    postgres, blue, release = await keep(store, "postgresql it is", "a blue button", "a release")
    async with index_of(store, directory) as index:
        assert await index.catch_up(60)

    harm(directory)

    for _ in range(2):  # What was mended stays so.
        async with index_of(store, directory) as index:
            await by_words(index, "button")
            assert await index.catch_up(60)
            found = (
                await by_words(index, "postgresql"),
                await by_words(index, "button"),
                await by_meaning(index, "database"),
                await by_meaning(index, "colour"),
                await by_meaning(index, "deploy"),
            )
            assert found == ([postgres], [blue], [postgres], [blue], [release])
            assert index.state() == "3 memories, 0 waiting"


@pytest.mark.parametrize("part", ["_searcher", "_writer"])
async def test_an_index_damaged_while_it_is_in_use_is_rebuilt(part: str, tmp_path: Path) -> None:
    """Tantivy sees some damage only where it reads, or panics there."""
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [first] = await keep(store, "it is postgresql")
        assert await by_words(index, "postgresql") == [first]
        [second] = await keep(store, "it is postgresql too", first=2)

        setattr(index._lexical, part, None)

        assert sorted(await by_words(index, "postgresql")) == sorted([first, second])


async def test_an_index_that_cannot_be_rebuilt_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:

        def fail(*_: object) -> None:
            raise lexical.IndexDamaged("no")

        monkeypatch.setattr(index._lexical, "search", fail)
        with pytest.raises(StoreError, match="damaged again and again"):
            await by_words(index, "postgresql")


async def test_vectors_of_another_model_are_made_anew(tmp_path: Path) -> None:
    store = InMemoryStore()
    [wanted] = await keep(store, "it is postgresql")
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
    other = ToyEmbedder(b"other" + bytes(27))
    async with index_of(store, tmp_path, other) as index:
        assert await index.catch_up(60)
        assert (other.texts, await by_meaning(index, "database")) == (
            ["it is postgresql"],
            [wanted],
        )


async def test_an_index_with_other_analyzers_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InMemoryStore()
    [wanted] = await keep(store, "it is postgresql")
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
    monkeypatch.setattr(lexical, "_SPACES", "spaces-0")
    async with index_of(store, tmp_path) as index:
        assert await by_words(index, "postgresql") == [wanted]


async def test_an_index_of_another_store_is_rebuilt(tmp_path: Path) -> None:
    """Also if that one is as long."""
    one, other = InMemoryStore(), InMemoryStore()
    await keep(one, "it is postgresql", "a second")
    [wanted, _] = await keep(other, "a blue button", "another second")
    async with index_of(one, tmp_path) as index:
        assert await index.catch_up(60)
    (tmp_path / "vectors").write_text("as an earlier version left it")
    async with index_of(other, tmp_path) as index:
        assert await index.catch_up(60)
        assert (await by_words(index, "button"), await by_meaning(index, "colour")) == (
            [wanted],
            [wanted],
        )
        assert (await by_words(index, "postgresql"), await by_meaning(index, "database")) == (
            [],
            [],
        )
        await until(lambda: len(list(tmp_path.iterdir())) == 2)  # Nothing of the first is left.


def restored(store: InMemoryStore, sequence: int) -> InMemoryStore:
    """Return the store as it was at this sequence."""
    copy = InMemoryStore()
    copy.id, copy._last_sequence = store.id, sequence
    copy._memories = {key: it for key, it in store._memories.items() if it[0] <= sequence}
    return copy


@pytest.mark.parametrize("grown", [0, 1, 2, 3])
async def test_of_a_store_that_was_put_back_only_what_it_still_has_is_found(
    grown: int, tmp_path: Path
) -> None:
    """It may since have grown in another way, to less, as much or more than it had."""
    store, embedder = InMemoryStore(), ToyEmbedder()
    [kept, *_] = await keep(store, "the first postgresql", "postgresql gone", "a release gone")
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)

    store = restored(store, 1)
    new = await keep(store, *(f"postgresql new {number}" for number in range(grown)), first=9)
    async with index_of(store, tmp_path, embedder) as index:
        assert await index.catch_up(60)
        for found in (await by_words(index, "postgresql"), await by_meaning(index, "database")):
            assert sorted(found) == sorted([kept, *new])
        assert await by_words(index, "gone") == await by_meaning(index, "deploy") == []
        assert index.state() == f"{1 + grown} memories, 0 waiting"
        told = [f"has {2 - grown} more than the store" in it for it in index.warnings()]
        assert told == ([True] if grown < 2 else [])
    assert "the first postgresql" not in embedder.texts  # What is still right is not made anew.


async def test_an_index_whose_documents_were_replaced_since_is_not_rebuilt(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    content = "blue buttons, said at more length"
    shortened, whole = (
        a_memory(an_entry(title="", content=part), whole=whole_of(content), proof=b"proof")
        for part in ("postgresql it is", content)
    )
    await store.put_memory(shortened)
    await keep(store, "it is postgresql", first=2)
    async with index_of(store, tmp_path, embedder) as index:
        assert await index.catch_up(60)
    await store.put_memory(whole)
    async with index_of(store, tmp_path, embedder) as index:
        assert await index.catch_up(60)
        assert await by_meaning(index, "colour") == [whole.key]
    assert embedder.texts == ["postgresql it is", "it is postgresql", content]


async def test_what_the_store_cannot_read_is_passed_over(tmp_path: Path) -> None:
    class WithDamagedRecords(InMemoryStore):
        async def memories_since(
            self, sequence: int, limit: int
        ) -> tuple[tuple[int, Memory | Erased], ...]:
            since = await super().memories_since(sequence, limit)
            return tuple(item for item in since if item[0] != 2)

    store = WithDamagedRecords()
    [first, _] = await keep(store, "a first note", "a second note")
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
        assert await by_words(index, "note") == [first]
        assert index.state() == "1 memories, 0 waiting"


async def test_a_directory_that_cannot_be_written_is_named_and_used_once_it_can(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    store = InMemoryStore()
    [wanted] = await keep(store, "it is postgresql")
    async with index_of(store, tmp_path / "file" / "index") as index:
        assert "file/index" in index.state()
        assert await by_words(index, "postgresql") == []
        assert "0 of 1 indexed: the search index in" in index.progress().note()
        (tmp_path / "file").unlink()
        await until(lambda: not index.progress().note())
        assert await by_words(index, "postgresql") == [wanted]
        assert await by_meaning(index, "database") == [wanted]
