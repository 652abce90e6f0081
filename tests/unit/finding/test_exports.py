"""Models of one's own: what an export must have, and what becomes of its vectors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from buddies_core.asking.question import scope_of
from buddies_core.errors import InvalidInput
from buddies_core.finding.embedder import Embedder, MiniLm, ModelUnavailable, onnx_session
from buddies_core.finding.exports import Export, ExportedModel, Pooling
from buddies_core.finding.index import Index
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.memory import MemoryFilter
from tests.support.exports import CLS, MEAN, minilm_export, tiny_export, write_json
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

TEXTS = ("how is the DB set up?", "x " * 600, "日本語", "")
MEANINGS = {"database": 0, "postgresql": 0, "blue": 1, "colour": 1}


def loaded(export: Export) -> ExportedModel:
    return ExportedModel(export, export.digest())


def test_the_export_of_minilm_gives_the_very_vectors_of_minilm(tmp_path: Path) -> None:
    export = Export.read(minilm_export(tmp_path))
    own, exported = MiniLm(), loaded(export)
    assert (export.pooling, export.numbers, export.tokens_max) == (Pooling.MEAN, 384, 256)
    for text in TEXTS:
        assert np.array_equal(exported.embed(text), own.embed(text))


def test_pooling_by_cls_takes_the_vector_of_the_first_token(tmp_path: Path) -> None:
    export = Export.read(minilm_export(tmp_path, CLS))
    tokens = np.array([[101, 2129, 102]])  # [CLS] how [SEP]
    [hidden] = onnx_session(export.weights).run(
        ["last_hidden_state"],
        {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        },
    )
    expected = hidden[0, 0] / np.linalg.norm(hidden[0, 0])
    np.testing.assert_allclose(loaded(export).embed("how"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"embedding_dimension": 384, "pooling_mode": "cls"}, (Pooling.CLS, 384)),
        ({"embedding_dimension": 1024, "pooling_mode": ["mean"]}, (Pooling.MEAN, 1024)),
        ({**MEAN, "pooling_mode_max_tokens": False, "include_prompt": True}, (Pooling.MEAN, 384)),
    ],
)
def test_both_ways_to_write_how_it_pools_are_read(
    tmp_path: Path, pooling: dict[str, object], expected: tuple[Pooling, int]
) -> None:
    export = Export.read(minilm_export(tmp_path, pooling))
    assert (export.pooling, export.numbers) == expected


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("onnx/model.onnx", "has no model.onnx and no onnx/model.onnx; it must be what sentence-"),
        ("tokenizer.json", "has no tokenizer.json; "),
        ("1_Pooling/config.json", "has no 1_Pooling/config.json; "),
    ],
)
def test_a_file_that_is_missing_is_named(tmp_path: Path, missing: str, said: str) -> None:
    (minilm_export(tmp_path) / missing).unlink()
    with pytest.raises(InvalidInput) as refused:
        Export.read(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path} {said}")


def test_what_is_not_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere is not a directory"):
        Export.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("1_Pooling/config.json", "{", r"1_Pooling/config.json can't be read: Expecting"),
        ("1_Pooling/config.json", "[1]", "1_Pooling/config.json can't be read: it is not a JSON"),
        ("1_Pooling/config.json", "{}", r"asks for pooling by \[\]; buddies can do mean or cls"),
        (
            "1_Pooling/config.json",
            json.dumps({**MEAN, **CLS}),
            "asks for pooling by .'mean_tokens', 'cls_token'",
        ),
        (
            "1_Pooling/config.json",
            '{"pooling_mode": "lasttoken", "embedding_dimension": 384}',
            "asks for pooling by .'lasttoken'.; buddies can do mean or cls alone",
        ),
        (
            "1_Pooling/config.json",
            '{"pooling_mode": "mean", "embedding_dimension": 1000000}',
            "says that a vector has 1000000 numbers; it must be 1 to 4096",
        ),
        ("1_Pooling/config.json", '{"pooling_mode": "mean"}', "a vector has None numbers"),
        (
            "modules.json",
            '[{"type": "sentence_transformers.models.Dense"}]',
            "modules.json names a module of the kind Dense, which buddies can't run; choose",
        ),
        ("modules.json", "[7]", "modules.json can't be read"),
        ("tokenizer_config.json", "\xff", "tokenizer_config.json can't be read"),
    ],
)
def test_a_file_that_cannot_be_followed_is_named(
    tmp_path: Path, file: str, content: str, said: str
) -> None:
    minilm_export(tmp_path)
    (tmp_path / "sentence_bert_config.json").unlink()
    (tmp_path / file).write_text(content, encoding="latin-1")
    with pytest.raises(InvalidInput, match=said):
        Export.read(tmp_path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 128}}, 128),
        ({"tokenizer_config.json": {"model_max_length": 64}}, 64),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512),
        ({"sentence_bert_config.json": {"max_seq_length": -1}}, 512),
        ({}, 512),
    ],
)
def test_a_text_counts_as_far_as_the_export_says_within_bounds(
    tmp_path: Path, files: dict[str, object], expected: int
) -> None:
    minilm_export(tmp_path)
    (tmp_path / "sentence_bert_config.json").unlink()
    for name, content in files.items():
        write_json(tmp_path / name, content)
    assert Export.read(tmp_path).tokens_max == expected


def with_prompts(directory: Path) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    write_json(directory / "config_sentence_transformers.json", {"prompts": prompts})


def with_other_words(directory: Path) -> None:
    tokenizer = directory / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"database"', '"datebase"'))


def with_more_weights(directory: Path) -> None:
    (directory / "model.onnx_data").write_bytes(b"more")


def with_fewer_tokens(directory: Path) -> None:
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": 9})


@pytest.mark.parametrize(
    "change", [with_prompts, with_other_words, with_more_weights, with_fewer_tokens]
)
def test_a_model_has_another_name_when_anything_gives_other_vectors(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    one, other = (tiny_export(tmp_path / name, MEANINGS) for name in ("one", "other"))
    (other / "README.md").write_text("of the same model")
    assert Export.read(one).choice().id == Export.read(other).choice().id
    change(other)
    assert Export.read(one).choice().id != Export.read(other).choice().id


async def test_what_the_model_wants_in_front_stands_in_front(tmp_path: Path) -> None:
    minilm_export(tmp_path)
    with_prompts(tmp_path)
    own = MiniLm()
    async with Embedder.open(Export.read(tmp_path).choice()) as embedder:
        assert np.array_equal(await embedder.embed_query("a"), own.embed("query: a"))
        assert np.array_equal(await embedder.embed(["a"]), [own.embed("passage: a")])


async def test_a_model_of_any_size_finds_memories_by_what_they_mean(tmp_path: Path) -> None:
    choice = Export.read(tiny_export(tmp_path / "model", MEANINGS, numbers=700)).choice()
    assert choice.dimensions == 704
    store = InMemoryStore()
    kept = {
        content: a_memory(an_entry(number, title="", content=content))
        for number, content in enumerate(("postgresql", "blue"))
    }
    for memory in kept.values():
        await store.put_memory(memory)
    async with (
        Embedder.open(choice) as embedder,
        Index.open(tmp_path / "index", MemoryDocuments(store), embedder) as index,
    ):
        assert await index.catch_up(60)
        scope = scope_of(MemoryFilter(room=DEMO))
        vector = await embedder.embed_query("database")
        [hit] = await index.search("database", vector, scope, 9)
        assert hit.key == kept["postgresql"].key
        assert hit.score > 0.8
        with pytest.raises(InvalidInput, match="vector has 704 numbers, not 384"):
            await index.search("database", np.ones(384, np.float32), scope, 9)
        assert embedder.state() == f"ready: {tmp_path / 'model'}"


async def test_files_that_changed_since_the_start_are_not_mixed_with_what_was_made_before(
    tmp_path: Path,
) -> None:
    choice = Export.read(tiny_export(tmp_path, MEANINGS)).choice()
    with_other_words(tmp_path)
    async with Embedder.open(choice) as embedder:
        with pytest.raises(ModelUnavailable, match=r"changed since the daemon started; .* restart"):
            await embedder.embed_query("blue")


async def test_a_model_of_another_size_than_it_says_is_not_used(tmp_path: Path) -> None:
    tiny_export(tmp_path, MEANINGS)
    pooling = {"embedding_dimension": 64, "pooling_mode": "mean"}
    write_json(tmp_path / "1_Pooling/config.json", pooling)
    async with Embedder.open(Export.read(tmp_path).choice()) as embedder:
        with pytest.raises(ModelUnavailable, match=r"have 20 numbers, and .* says 64"):
            await embedder.embed_query("blue")


async def test_weights_that_are_none_are_named(tmp_path: Path) -> None:
    (tiny_export(tmp_path, MEANINGS) / "model.onnx").write_bytes(b"no model")
    async with Embedder.open(Export.read(tmp_path).choice()) as embedder:
        with pytest.raises(ModelUnavailable, match=r"model\.onnx"):
            await embedder.embed_query("blue")


@pytest.mark.parametrize(("han", "knows"), [(2999, False), (3000, True)])
def test_a_vocabulary_of_many_han_characters_knows_scripts_without_spaces(
    tmp_path: Path, han: int, knows: bool
) -> None:
    words = {chr(0x4E00 + number): 0 for number in range(han)}
    assert Export.read(tiny_export(tmp_path, words)).choice().knows_spaceless is knows


def test_a_vocabulary_with_weights_is_read_too(tmp_path: Path) -> None:
    tiny_export(tmp_path, MEANINGS)
    pieces = [[f"\u2581{chr(0x4E00 + number)}", -9.0] for number in range(3000)]
    write_json(tmp_path / "tokenizer.json", {"model": {"type": "Unigram", "vocab": pieces}})
    assert Export.read(tmp_path).choice().knows_spaceless


async def test_a_model_that_finds_anything_alike_has_its_noise_taken_off(tmp_path: Path) -> None:
    """Every word that the tiny model does not know means the same to it."""
    async with Embedder.open(Export.read(tiny_export(tmp_path, MEANINGS)).choice()) as embedder:
        assert embedder.noise == 0.0
        await embedder.embed_query("blue")
        assert embedder.noise == 0.9
    async with Embedder.open(Export.read(minilm_export(tmp_path / "mini")).choice()) as embedder:
        await embedder.embed_query("blue")
        assert 0 < embedder.noise < 0.1
