"""A user's own model, exported to a directory by sentence-transformers. Nothing is downloaded.

    model.onnx or onnx/model.onnx     the weights, maybe with model.onnx_data beside them
    tokenizer.json                    how a text becomes tokens
    1_Pooling/config.json             how the tokens' vectors become one: their mean, or the first
    modules.json                      optional: the other modules of the model
    sentence_bert_config.json         optional: how many tokens a text may have
    config_sentence_transformers.json optional: the prefixes of questions and of texts

These files are read without the libraries, so a setting can be refused before the daemon starts.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from buddies_core.errors import InvalidInput
from buddies_core.finding.embedder import ModelChoice, Vectors, onnx_session

TOKENS_MAX = 512
"""Text after this many tokens is ignored. A model's time grows with the square of the tokens."""
NUMBERS_MAX = 4096
"""The most numbers in a vector."""

_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_TOKENS_MIN = 8
_CONFIG_BYTES_MAX = 1 << 20
_TOKENIZER_BYTES_MAX = 64 << 20
_KNOWN_MODULES = frozenset({"transformer", "pooling", "normalize"})
_WITHOUT_SPACES = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
_PIECES_WITHOUT_SPACES_MIN = 3000
"""A vocabulary with at least this many pieces of such scripts knows their words. English BERT has a
few hundred Han and kana characters; multilingual models have tens of thousands of pieces."""


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    CLS = "cls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A model as described by the files of its export."""

    weights: Path
    tokenizer: Path
    pooling: Pooling
    numbers: int
    """How many numbers the model's vectors have, without padding."""
    tokens_max: int
    query_prompt: str
    text_prompt: str

    @classmethod
    def read(cls, directory: Path) -> "Export":
        """Return the export in this directory. The weights are not read.

        Raises:
            InvalidInput: a file is missing, or asks for something unsupported; the text names it.
        """
        if not directory.is_dir():
            raise InvalidInput(f"{directory} is not a directory")
        _check_modules(directory)
        pooling = _json(_first_of(directory, "1_Pooling/config.json"))
        prompts = _json(directory / "config_sentence_transformers.json").get("prompts")
        prompts = prompts if isinstance(prompts, dict) else {}
        return cls(
            weights=_first_of(directory, "model.onnx", "onnx/model.onnx"),
            tokenizer=_first_of(directory, "tokenizer.json"),
            pooling=_pooling(pooling, directory),
            numbers=_numbers(pooling, directory),
            tokens_max=_tokens_max(directory),
            query_prompt=str(prompts.get("query") or ""),
            text_prompt=str(prompts.get("document") or prompts.get("passage") or ""),
        )

    def choice(self) -> ModelChoice:
        """Return the model, with an id made from everything that determines its vectors.

        Reads all of the files, which takes a second for some hundred MB.

        Raises:
            InvalidInput: a file can't be read.
        """
        id = self.digest()
        pieces = _json(self.tokenizer, bytes_max=_TOKENIZER_BYTES_MAX).get("model", {})
        return ModelChoice(
            id=id,
            dimensions=-(-self.numbers // 64) * 64,
            load=lambda: ExportedModel(self, id),
            name=str(self.tokenizer.parent),
            query_prompt=self.query_prompt,
            text_prompt=self.text_prompt,
            knows_spaceless=_knows_spaceless(pieces.get("vocab", ())),
        )

    def digest(self) -> bytes:
        """Return the SHA-256 of everything that determines the vectors.

        Raises:
            InvalidInput: a file can't be read.
        """
        whole = hashlib.sha256(
            f"{self.pooling} {self.numbers} {self.tokens_max} "
            f"{self.query_prompt!r} {self.text_prompt!r}".encode()
        )
        # Weights of 2 GB and more are in separate files, whose names begin with model.onnx.
        for path in (*sorted(self.weights.parent.glob("model.onnx*")), self.tokenizer):
            try:
                with path.open("rb") as file:
                    whole.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise InvalidInput(f"{path} can't be read: {error.strerror}") from error
        return whole.digest()


class ExportedModel:
    """The loaded model of an export."""

    def __init__(self, export: Export, id: bytes) -> None:
        """Load the model.

        Raises:
            Exception: the libraries failed, or the files no longer match this id.
        """
        from tokenizers import Tokenizer

        if export.digest() != id:
            raise ValueError(
                f"{export.weights.parent} has changed since the daemon started; to use it as it is "
                "now: buddies-cli daemon restart"
            )
        self._export = export
        self._session = onnx_session(export.weights)
        self._inputs = [it.name for it in self._session.get_inputs()]
        if strange := set(self._inputs) - _INPUTS:
            raise ValueError(f"the model wants {', '.join(strange)}, which buddies can't give it")
        outputs = [it.name for it in self._session.get_outputs()]
        self._is_pooled = "sentence_embedding" in outputs
        self._output = "sentence_embedding" if self._is_pooled else outputs[0]
        self._tokenizer = Tokenizer.from_file(str(export.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(export.tokens_max)

    def embed(self, text: str) -> Vectors:
        """Return float32[dimensions] of norm 1, padded with zeros if the model makes fewer."""
        encoded = self._tokenizer.encode(text)
        known = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
            "position_ids": range(len(encoded.ids)),
        }
        inputs = {name: np.array([known[name]], np.int64) for name in self._inputs}
        [[made]] = self._session.run([self._output], inputs)
        if not self._is_pooled:
            made = made[0] if self._export.pooling is Pooling.CLS else made.mean(axis=0)
        if made.shape != (self._export.numbers,):
            raise ValueError(
                f"its vectors have {made.size} numbers, and 1_Pooling/config.json says "
                f"{self._export.numbers}"
            )
        vector = np.pad(made.astype(np.float32), (0, -self._export.numbers % 64))
        whole: Vectors = vector / np.linalg.norm(vector)
        return whole


def _first_of(directory: Path, *names: str) -> Path:
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise InvalidInput(
        f"{directory} has no {' and no '.join(names)}; it must be what sentence-transformers "
        "exports for ONNX"
    )


def _json(path: Path, *, bytes_max: int = _CONFIG_BYTES_MAX) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file does not exist."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(bytes_max))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} can't be read: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} can't be read: it is not a JSON object")
    return value


def _check_modules(directory: Path) -> None:
    path = directory / "modules.json"
    try:
        modules = json.loads(path.read_bytes()) if path.is_file() else []
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidInput(f"{path} can't be read: {error!r}") from None
    for kind in kinds:
        if kind.lower() not in _KNOWN_MODULES:
            raise InvalidInput(
                f"{path} names a module of the kind {kind}, which buddies can't run; choose a "
                "model of Transformer, Pooling and Normalize alone"
            )


def _pooling(config: Mapping[str, Any], directory: Path) -> Pooling:
    """Return how the tokens become one vector; since version 5.4, `pooling_mode` says so."""
    modes = config.get("pooling_mode")
    if modes is None:
        old = "pooling_mode_"
        modes = [key.removeprefix(old) for key in config if key.startswith(old) and config[key]]
    modes = [modes] if isinstance(modes, str) else modes
    match modes:
        case ["mean" | "mean_tokens"]:
            return Pooling.MEAN
        case ["cls" | "cls_token"]:
            return Pooling.CLS
        case _:
            raise InvalidInput(
                f"{directory / '1_Pooling/config.json'} asks for pooling by {modes}; buddies can "
                "do mean or cls alone, so choose another model"
            )


def _numbers(config: Mapping[str, Any], directory: Path) -> int:
    numbers = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    if type(numbers) is not int or not 1 <= numbers <= NUMBERS_MAX:
        raise InvalidInput(
            f"{directory / '1_Pooling/config.json'} says that a vector has {numbers!r} numbers; "
            f"it must be 1 to {NUMBERS_MAX}, as word_embedding_dimension"
        )
    return numbers


def _tokens_max(directory: Path) -> int:
    """Return how many tokens of a text to use: the export's number, within bounds."""
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        said = _json(directory / name).get(key)
        if isinstance(said, int | float) and said >= _TOKENS_MIN:
            return int(min(said, TOKENS_MAX))
    return TOKENS_MAX


def _knows_spaceless(vocabulary: object) -> bool:
    """Return whether a vocabulary has many pieces of scripts without spaces.

    The vocabulary is a mapping from pieces to numbers, or a list of pieces with their weights.
    """
    pieces = vocabulary if isinstance(vocabulary, dict | list) else ()
    names = (it[0] if isinstance(it, list) and it else it for it in pieces)
    known = sum(1 for it in names if isinstance(it, str) and _WITHOUT_SPACES.search(it))
    return known >= _PIECES_WITHOUT_SPACES_MIN
