"""What is found by words wherever it stands and however it is typed, and what may be asked."""

import unicodedata
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from buddies_core.finding.document import scope
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index, IndexHit
from buddies_core.memory.documents import MemoryDocuments
from tests.bench.questions import NOTES
from tests.bench.search_sets import PLANTED_WORDS, planted, short_notes
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

IN_DEMO = scope(room=DEMO)
FOREIGN = {
    "我们用数据库保存用户": "数据库",
    "每周五发布新版本": "什么时候发布新版本",
    "支付失败时重试五次": "支付失败怎么办",
    "ユーザー表はPostgreSQLです": "ユーザー表",
    "毎週金曜日にリリースする": "リリースはいつですか",
    "ข้อมูลผู้ใช้เก็บไว้ในฐานข้อมูล": "ฐานข้อมูล",
    "เราปล่อยเวอร์ชันใหม่ทุกวันศุกร์": "ปล่อยเวอร์ชันใหม่เมื่อไหร่",
    "บันทึกถูกลบหลังจากสามสิบวัน": "บันทึก",
}
TYPED = {
    "Größenrechner in Köln": unicodedata.normalize("NFD", "größenrechner köln"),
    unicodedata.normalize("NFD", "the détecteur service"): "détecteur",
    "ﾃｽﾄｶﾊﾞﾚｯｼﾞは八割": "テストカバレッジ",
    "デプロイはジェンキンス": "ｼﾞｪﾝｷﾝｽ",
    "仓库的锁在门口": "锁",
    "computeTaxBracket runs once": "compute_tax_bracket",
    "set max_open_files": "maxOpenFiles",
    "Incident INC-20931 is over": "inc20931",
}


async def indexed(index: Index, store: InMemoryStore, notes: Sequence[str]) -> list[bytes]:
    memories = [a_memory(an_entry(at, title="", content=note)) for at, note in enumerate(notes)]
    for memory in memories:
        await store.put_memory(memory)
    assert await index.catch_up(60)
    return [memory.key for memory in memories]


async def firsts(directory: Path, notes: Sequence[str], queries: Sequence[str]) -> list[int]:
    """Return which note comes first for each query by words alone."""
    store = InMemoryStore()
    async with Index.open(directory, MemoryDocuments(store), ToyEmbedder()) as index:
        keys = await indexed(index, store, notes)
        found = [await index.search(query, None, IN_DEMO, 1) for query in queries]
    return [keys.index(hits[0].key) for hits in found]


@pytest.mark.parametrize("words", PLANTED_WORDS)
async def test_an_identifier_is_found_first_however_long_its_note_is(
    words: int, tmp_path: Path
) -> None:
    corpus = planted("a", words)
    queries = [asked.query for asked in corpus.asked]
    assert await firsts(tmp_path, corpus.notes, queries) == [asked.note for asked in corpus.asked]


@pytest.mark.parametrize("answers", [FOREIGN, TYPED], ids=["foreign", "typed"])
async def test_a_hundred_english_notes_hide_no_other_script_and_no_typed_form(
    answers: dict[str, str], tmp_path: Path
) -> None:
    english = [f"{note.text} {number}" for number in range(3) for note in NOTES]
    notes = [*english, *answers]
    found = await firsts(tmp_path, notes, [*answers.values()])
    assert [notes[number] for number in found] == [*answers]


async def test_members_rank_together_as_one_of_them_would_alone(tmp_path: Path) -> None:
    corpus = short_notes("a")
    queries = [asked.query for asked in corpus.asked][::4]
    ranked: list[list[list[tuple[bytes, float]]]] = []
    async with Embedder.open() as embedder, AsyncExitStack() as stack:
        for nodes in (1, 2):
            indexes = []
            for node in range(nodes):
                store = InMemoryStore()
                for number in range(node, 80, nodes):
                    note = an_entry(number, title="", content=corpus.notes[number])
                    await store.put_memory(a_memory(note))
                at = tmp_path / f"{nodes} {node}"
                opened = Index.open(at, MemoryDocuments(store), embedder)
                indexes.append(await stack.enter_async_context(opened))
                assert await indexes[-1].catch_up(60)
            ranked.append([await merged(indexes, embedder, query) for query in queries])
    assert ranked[0] == ranked[1]


async def merged(
    indexes: Sequence[Index], embedder: Embedder, query: str
) -> list[tuple[bytes, float]]:
    vector = await embedder.embed_query(query)
    hits = [hit for index in indexes for hit in await index.search(query, vector, IN_DEMO, 10)]
    # Sums of floats depend in the last digits on how many are made at once.
    rounded = [(hit.key, round(hit.score, 4)) for hit in hits]
    return sorted(rounded, key=lambda it: (-it[1], it[0]))[:10]


async def test_results_come_in_the_order_of_the_score_they_show(tmp_path: Path) -> None:
    embedder, store = ToyEmbedder(), InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        words = ["pgbouncer", "postgresql", "table", "blue", "release"]
        rng = Random(1)
        await indexed(index, store, [" ".join(rng.choices(words, k=3)) for _ in range(40)])
        for vector in (None, embedder.vector("postgresql")):
            hits = await index.search("pgbouncer table", vector, IN_DEMO, 40)
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert len(set(scores)) > 2


async def test_a_hit_by_words_has_its_true_cosine_though_others_are_nearer(tmp_path: Path) -> None:
    embedder, store = ToyEmbedder(), InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        [*_, wanted] = await indexed(index, store, ["blue"] * 30 + ["pgbouncer postgresql blue"])
        [hit] = await index.search("pgbouncer", embedder.vector("blue"), IN_DEMO, 1)
    assert hit.key == wanted
    assert hit.score == pytest.approx(0.5 + 0.707, abs=0.01)


async def test_a_hit_says_which_passage_it_was_and_what_of_the_question_it_has(
    tmp_path: Path,
) -> None:
    embedder, store = ToyEmbedder(), InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        filler = "We talked about many things and noted each of them. " * 10
        [key] = await indexed(index, store, [f"{filler}Then pgbouncer came up. {filler}"])
        [hit] = await index.search("quaggaz pgbouncer", embedder.vector("blue"), IN_DEMO, 1)
    assert hit == IndexHit(key=key, score=hit.score, coverage=0.5, passage=3)
    assert hit.score == pytest.approx(0.0625 + 0.0995, abs=0.01)


HARD_QUERIES = (
    "user AND (table] OR * \"'\\ +-/: ~2 ^3 label:first",
    "table " * 10_000,
    "is it the",
    "\U0001f600 table \U0001f937\u200d\u2640\ufe0f",
    "ta\0ble \0 table",
    "\ud800 table \udfff",
    "x" * 100_000,
    "数" * 6_000,
    "a.b-c_d" * 2_000,
    "ﷺ" * 1_000,
    ".*",
    "first",
)


@pytest.mark.parametrize("limit", [0, 1, 10**9])
async def test_any_question_and_any_limit_are_answered(limit: int, tmp_path: Path) -> None:
    embedder, store = ToyEmbedder(), InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        await indexed(index, store, ["the user table", "another table"])
        for query in HARD_QUERIES:
            by_both = await index.search(query, embedder.vector("xyzzy"), IN_DEMO, limit)
            by_words = await index.search(query, None, IN_DEMO, limit)
            assert len(by_both) == min(limit, 2)
            assert len(by_words) == min(limit, 2) * ("table" in query)


async def test_any_text_is_indexed_whole(tmp_path: Path) -> None:
    chinese = "".join(chr(0x4E00 + number) for number in range(6_000))
    texts = [
        f"{'x' * 100_000} needle",
        chinese,
        "\0\ud800 surrogate\udfff NUL\0 text",
        f"{'word ' * 209_000}haystack",
        "\U0001f600" * 1_000,
        "",
        "﷽" * 10_000,
    ]
    embedder, store = ToyEmbedder(), InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        keys = await indexed(index, store, texts)
        found = [
            [hit.key for hit in await index.search(query, None, IN_DEMO, 3)]
            for query in ("needle", chinese[5_500:5_508], "surrogate NUL", "haystack")
        ]
    assert found == [[keys[number]] for number in (0, 1, 2, 3)]
    embedded = "".join(embedder.texts)
    assert chinese in embedded.replace(" ", "")
    assert max(len(text) for text in embedder.texts) < 20_000
