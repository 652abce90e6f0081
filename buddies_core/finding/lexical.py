"""The half of the index that finds documents by their words: tantivy, in a directory.

A passage is a tantivy document, with the words that `words` finds in it and in the tags. A search
scores it by its coverage of the question (`ranking`), never by how frequent words are here.

The index is derived from the store and may be deleted at any time. Its progress is the highest
sequence in it, so progress can't disagree with what a commit made durable, and adding a document
again changes nothing. Not thread-safe: a single thread owns it.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import (
    DocAddress,
    FieldType,
    Occur,
    Query,
    Schema,
    SchemaBuilder,
    TextAnalyzerBuilder,
    Tokenizer,
)

from buddies_core.errors import StoreError
from buddies_core.finding import chunks, words
from buddies_core.finding.document import Document, Erasure, Scope
from buddies_core.finding.ranking import PART_VALUE, Question
from buddies_core.finding.soundness import damage_of
from buddies_core.finding.vectors import passage_id, sequence_of

_log = logging.getLogger(__name__)

_SPACES = f"spaces-{words.VERSION}.{chunks.VERSION}"
"""The tokenizer's name. It is part of the schema: an index with another schema is rebuilt."""
_WRITER_BYTES = 15_000_000
"""The smallest size that tantivy accepts."""
_HITS_MAX = 10_000
_FIRST = "first"
"""The label of each document's first passage, used to count documents."""


@dataclass(frozen=True, slots=True)
class WordHits:
    """The passages that have words of a question, in no particular order."""

    passages: NDArray[np.uint64]
    """See `vectors.passage_id`."""
    coverage: NDArray[np.float32]
    addresses: Sequence[DocAddress]
    """The passages' addresses, for `LexicalIndex.key`."""


_OF_THE_SYSTEM = re.compile(r"os error|Os \{|IoError|OSError|Errno|writer was killed|LockBusy")
"""Matches errors that tantivy got from the system. A thread that died mostly died of one."""


class IndexDamaged(Exception):
    """The index can't be read; `reset` replaces it with an empty one."""


class WriteRefused(Exception):
    """The system refused a write, as with a full disk. Earlier contents are still there."""


class DocumentsRefused(Exception):
    """Tantivy can't take one of these documents. Earlier contents are still there."""


class _Failed(Exception):
    """Tantivy raised something, or panicked."""


class LexicalIndex:
    """An index of documents by their words, in a directory. End it with `close`."""

    sequence: int
    """The sequence of the latest document in the index; 0 if there is none."""
    count: int
    """How many documents are in the index."""

    def __init__(self, directory: Path) -> None:
        """Begin with an empty index; `open` reads the one on disk."""
        self.directory = directory
        self._schema = _schema()
        self._forget()

    def _forget(self) -> None:
        self.opened = False
        self.sequence = self.count = 0
        self._searcher = tantivy.Index(self._schema).searcher()
        # A writer would go on merging old segments into a new directory; dropped, it stops first.
        self._writer: tantivy.IndexWriter | None = None

    def open(self) -> None:
        """Open the index on disk, or make an empty one if there is no usable one.

        Raises:
            StoreError: the directory can't be written or read at the moment.
        """
        there = self.directory.is_dir() and any(self.directory.iterdir())
        damage = damage_of(self.directory) if there else ""
        try:
            if damage:
                raise IndexDamaged(damage)  # noqa: TRY301 - as if tantivy had noticed
            self._open()
        except (IndexDamaged, _Failed) as error:
            if not damage and _is_of_the_system(error):
                raise self._unusable(error) from error
            _log.warning("index_rebuilt half=words reason=%s", error)
            self.reset()

    def _open(self) -> None:
        with _failures_named():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._index = tantivy.Index(self._schema, str(self.directory))
            self._index.register_tokenizer(
                _SPACES, TextAnalyzerBuilder(Tokenizer.whitespace()).build()
            )
            self._index.config_reader("manual")
            self._writer = self._index.writer(_WRITER_BYTES, 1)
            self._look()
            self.opened = True

    def _look(self) -> None:
        """Read the state of the index after the last commit."""
        self._index.reload()
        self._searcher = self._index.searcher()
        self.count = self._searcher.search(self._term("label", _FIRST), 1).count  # type: ignore[attr-defined] # not in its stubs
        latest = self._searcher.search(Query.all_query(), 1, order_by_field="passage").hits
        self.sequence = sequence_of(latest[0][0]) if latest else 0

    def reset(self) -> None:
        """Replace the index with an empty one.

        Raises:
            StoreError: the directory can't be written.
        """
        self._forget()
        try:
            if self.directory.exists():
                shutil.rmtree(self.directory)
            self._open()
        except (OSError, _Failed) as error:
            raise self._unusable(error) from error

    def cut_after(self, sequence: int) -> None:
        """Remove at least the documents with later sequences; the rest is soon indexed again.

        Raises:
            StoreError: the directory can't be written.
        """
        self.reset()

    def latest(self, count: int) -> list[tuple[int, bytes]]:
        """Return the last `count` documents added, with their sequences; fewer if they are long.

        Raises:
            StoreError: the documents can't be read; the index must be opened again.
        """
        try:
            with _failures_named():
                hits = self._searcher.search(
                    Query.all_query(), 8 * count, count=False, order_by_field="passage"
                ).hits
                places = {sequence_of(passage): address for passage, address in hits}
                return [(at, self._key(places[at])) for at in sorted(places)[-count:]]
        except _Failed as error:
            self.opened = False
            raise self._unusable(error) from error

    def close(self) -> None:
        """End the index's threads. Everything that was added is on disk already."""
        with contextlib.suppress(_Failed), _failures_named():
            if self._writer is not None:
                self._writer.wait_merging_threads()

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the search index in {self.directory} can't be read or written ({error}); see that "
            "there is space and that it can be written; it is tried again by itself; no memory is "
            "lost"
        )

    def _recover(self, error: _Failed) -> None:
        """Return to the last commit, with new threads in place of those that may have died.

        Raises:
            IndexDamaged: the index's files are not as written.
        """
        self._writer, self.opened = None, False
        if damage := damage_of(self.directory):
            raise IndexDamaged(damage) from error
        # If the index can't be opened now, that is tried again; until then the old searcher stays.
        with contextlib.suppress(_Failed):
            self._open()

    def add(self, documents: Sequence[tuple[int, Document | Erasure]]) -> None:
        """Index documents with their sequences, replacing those with the same keys; then commit.

        An Erasure removes the document with its key.

        A commit takes 10 to 20 ms, so many at a time are cheaper. On return, searches find them.

        Raises:
            WriteRefused: the system refused; none of these documents is in the index.
            DocumentsRefused: tantivy can't take one of them; none of them is in the index.
            IndexDamaged: the index's files are not as written.
        """
        try:
            with _failures_named():
                assert self._writer is not None, "it is opened first"
                for sequence, document in documents:
                    self._writer.delete_documents_by_term("key", document.key.hex())
                    if isinstance(document, Document):
                        for passage in _indexed(sequence, document):
                            self._writer.add_document(passage)
                self._writer.commit()
                self._look()
        except _Failed as error:
            self._recover(error)
            refused = WriteRefused if _is_of_the_system(error) else DocumentsRefused
            raise refused(str(error)) from error

    def search(self, question: Question, scope: Scope) -> WordHits:
        """Return the passages with words of the question; only the best if there are very many.

        Raises:
            IndexDamaged: the index's files are not as written.
            StoreError: the index is intact, but tantivy fails on this query.
        """
        try:
            return self._search(question, scope)
        except _Failed as error:
            self._recover(error)
        try:
            return self._search(question, scope)
        except _Failed as error:
            raise StoreError(
                f"this question can't be searched by words ({error}); ask in other words"
            ) from error

    def _search(self, question: Question, scope: Scope) -> WordHits:
        with _failures_named():
            found = self._searcher.search(
                Query.boolean_query([(Occur.Must, self._any_of(question)), *self._passing(scope)]),
                _HITS_MAX,
                count=False,
            )
            hits = found.hits  # Each access builds the list anew.
            addresses = [address for _, address in hits]
            return WordHits(
                np.array(self._searcher.fast_field_values("passage", addresses), np.uint64),
                np.array([score for score, _ in hits], np.float32),
                addresses,
            )

    def key(self, address: DocAddress) -> bytes:
        """Return the key of the document that a hit belongs to.

        Raises:
            IndexDamaged: the index's files are not as written.
            StoreError: the index is intact, but tantivy fails on this hit.
        """
        try:
            with _failures_named():
                return self._key(address)
        except _Failed as error:
            self._recover(error)
            raise StoreError(f"a hit could not be read ({error}); ask again") from error

    def _key(self, address: DocAddress) -> bytes:
        return bytes.fromhex(str(self._searcher.doc(address).get_first("key")))

    def _any_of(self, question: Question) -> Query:
        part = question.fragment
        if part and not self._searcher.doc_freq("words", part):
            containing = Query.regex_query(self._schema, "words", f".*{re.escape(part)}.*")
            return Query.const_score_query(containing, PART_VALUE)
        return _any(
            Query.disjunction_max_query(
                [
                    self._worth(term.word, term.weight / question.weight),
                    _any(
                        self._worth(part, value * term.weight / question.weight)
                        for part, value in term.parts
                    ),
                ]
            )
            for term in question.terms
        )

    def _worth(self, word: str, score: float) -> Query:
        return Query.const_score_query(self._term("words", word), score)

    def _term(self, field: str, term: str) -> Query:
        return Query.term_query(self._schema, field, term, "basic")

    def _passing(self, scope: Scope) -> Iterator[tuple[Occur, Query]]:
        """Yield the conditions that a document must satisfy; they add nothing to the score."""
        for group in scope.groups:
            has_one = Query.term_set_query(self._schema, "label", group)
            yield Occur.Must, Query.const_score_query(has_one, 0.0)
        if scope.created_from_s is not None:
            recent = Query.range_query(
                self._schema, "created_at_s", FieldType.Unsigned, lower_bound=scope.created_from_s
            )
            yield Occur.Must, Query.const_score_query(recent, 0.0)


def _any(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _schema() -> Schema:
    schema = SchemaBuilder()
    schema.add_text_field("key", stored=True, tokenizer_name="raw", index_option="basic")
    schema.add_text_field("label", tokenizer_name="raw", index_option="basic")
    schema.add_unsigned_field("passage", fast=True)
    schema.add_unsigned_field("created_at_s", indexed=True)
    schema.add_text_field("words", tokenizer_name=_SPACES, index_option="basic")
    return schema.build()


def _indexed(sequence: int, document: Document) -> Iterator[tantivy.Document]:
    """Yield the passages of a document; a document without text has a single one, of its tags."""
    tags = " ".join(words.words("\n".join(document.tags)))
    made = chunks.passages(document.title, document.text)
    texts = [passage.text for passage in made if not passage.is_sentence] or [""]
    for number, text in enumerate(texts):
        indexed = tantivy.Document()
        indexed.add_text("key", document.key.hex())
        indexed.add_unsigned("passage", passage_id(sequence, number))
        indexed.add_unsigned("created_at_s", document.created_at_s)
        for label in document.labels if number else (_FIRST, *document.labels):
            indexed.add_text("label", label)
        indexed.add_text("words", f"{' '.join(words.words(text))} {tags}")
        yield indexed


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    """Turn any exception from tantivy into _Failed.

    Tantivy raises all its errors as ValueError, and its panics as a BaseException that would end
    the daemon. Nothing else raises a BaseException on the thread that owns the index.
    """
    try:
        yield
    except BaseException as error:
        raise _Failed(f"{type(error).__name__}: {error}") from error


def _is_of_the_system(error: Exception) -> bool:
    """Return whether the error's text blames the disk, the permissions or another process."""
    return _OF_THE_SYSTEM.search(str(error)) is not None
