"""The half of the index that finds memories by their words: tantivy's BM25, in a directory.

It is derived from the store and may be thrown away at any time. How far it got is the highest
sequence in it, so it can't disagree with what a commit made durable, and feeding it something again
changes nothing. Not safe for threads: one of them owns it.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import tantivy
from tantivy import (
    FieldType,
    Filter,
    Occur,
    Query,
    Schema,
    SchemaBuilder,
    TextAnalyzer,
    TextAnalyzerBuilder,
    Tokenizer,
)

from buddies_core.errors import StoreError
from buddies_core.finding.document import Document, Scope
from buddies_core.finding.ranking import COVERAGE_MIN, coverage, term_weight

_log = logging.getLogger(__name__)

_ENGLISH = "english-1"
"""To be counted up with each change of the analyzers or of what is fed to them: it is part of the
schema, and an index with another schema is rebuilt."""
_PAIRS = "pairs"
_WRITER_BYTES = 15_000_000
"""The least that tantivy takes."""
_WORD_BYTES_MAX = 64
_TERMS_MAX = 64
"""Of a query; the rest of it is ignored."""
_PART_CHARS_MIN = 4

_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: between their words is no space, so pairs of characters
are indexed."""

_QUESTION_WORDS = """
    how what which where when who whom whose why whether do does did done doing have has had having
    been being were am can could should would shall may might must we us our ours you your yours i
    me my mine he him his she her hers its them from about any some so than too very just also
    up again here there now then once only own same both each few more most other all
    please tell show explain s t re ve ll d m don doesn didn isn aren
"""
"""What a question is made of beyond tantivy's stop words. With `up` left in, notes on setting up
other things answer `how is the DB set up?` where there are few notes (measured)."""


class IndexDamaged(Exception):
    """The index can't be used; `reset` makes an empty one in its place."""


class LexicalIndex:
    """Memories by their words, in a directory. End it with `close`."""

    sequence: int
    """Of the latest memory in it; 0 if there is none."""
    count: int
    """How many memories are in it."""

    def __init__(self, directory: Path) -> None:
        """Open the index, or make an empty one where there is none that can be used.

        Raises:
            StoreError: the directory can't be written.
        """
        self._directory = directory
        self._english = _english_analyzer()
        self._pairs = TextAnalyzerBuilder(Tokenizer.ngram(2, 2)).build()
        self._question_words = frozenset(self._english.analyze(_QUESTION_WORDS))
        self._schema = _schema()
        try:
            self._open()
        except IndexDamaged as error:
            _log.warning("index_rebuilt half=words reason=%s", error)
            self.reset()

    def _open(self) -> None:
        with _damage_found():
            self._directory.mkdir(parents=True, exist_ok=True)
            self._index = tantivy.Index(self._schema, str(self._directory))
            self._index.register_tokenizer(_ENGLISH, self._english)
            self._index.register_tokenizer(_PAIRS, self._pairs)
            self._index.config_reader("manual")
            self._writer = self._index.writer(_WRITER_BYTES, 1)
            self._look()

    def _look(self) -> None:
        """See what the last commit made of the index."""
        self._index.reload()
        self._searcher = self._index.searcher()
        self.count = self._searcher.num_docs
        latest = self._searcher.search(Query.all_query(), 1, order_by_field="sequence").hits
        self.sequence = latest[0][0] if latest else 0

    def reset(self) -> None:
        """Begin with an empty index, whatever is there.

        Raises:
            StoreError: the directory can't be written.
        """
        # It would go on merging old segments into the new directory; dropped, it ends that first.
        self.__dict__.pop("_writer", None)
        try:
            if self._directory.exists():
                shutil.rmtree(self._directory)
            self._open()
        except (OSError, IndexDamaged) as error:
            raise StoreError(
                f"no search index can be made in {self._directory} ({error}); see that there is "
                "space and that it can be written; no memory is lost"
            ) from error

    def close(self) -> None:
        """End its threads. What was added is on disk already."""
        with contextlib.suppress(IndexDamaged), _damage_found():
            self._writer.wait_merging_threads()

    def add(self, documents: Sequence[tuple[int, Document]]) -> None:
        """Index documents with their sequences, each in place of what has its key; then commit.

        A commit takes 10 to 20 ms, so many at a time are cheaper. On return they are found.

        Raises:
            IndexDamaged: tantivy or the disk refused.
        """
        with _damage_found():
            for sequence, document in documents:
                self._writer.delete_documents_by_term("key", document.key.hex())
                self._writer.add_document(_indexed(sequence, document))
            self._writer.commit()
            self._look()

    def search(self, query: str, scope: Scope, limit: int) -> list[tuple[bytes, float]]:
        """Return the memories that cover a fair part of the query's words, best first.

        Each comes with its coverage, about 0 to 1.

        Raises:
            IndexDamaged: tantivy can't read it.
        """
        with _damage_found():
            terms = self._terms(query)
            weights = [self._weight(*term) for term in terms]
            found = self._searcher.search(
                Query.boolean_query([(Occur.Must, self._any_of(terms)), *self._passing(scope)]),
                limit,
                count=False,
            )
            return [
                (bytes.fromhex(str(self._searcher.doc(address).get_first("key"))), part)
                for score, address in found.hits
                if (part := coverage(score, weights)) >= COVERAGE_MIN
            ]

    def _terms(self, query: str) -> list[tuple[str, str]]:
        """Return what to look up, by field, each once."""
        words = self._english.analyze(_SPACELESS.sub(" ", query))
        asked = [word for word in words if word not in self._question_words] or words
        pairs = [pair for run in _SPACELESS.findall(query) for pair in self._pairs.analyze(run)]
        terms = [("words", word) for word in asked] + [("pairs", pair) for pair in pairs]
        return list(dict.fromkeys(terms))[:_TERMS_MAX]

    def _weight(self, field: str, term: str) -> float:
        return term_weight(self._searcher.num_docs, self._searcher.doc_freq(field, term))

    def _any_of(self, terms: list[tuple[str, str]]) -> Query:
        match terms:
            case [("words", part)] if len(part) >= _PART_CHARS_MIN and not self._searcher.doc_freq(
                "words", part
            ):
                # No word, so a part of words (`ostgre`), and each that has it covers the query.
                containing = Query.regex_query(self._schema, "words", f".*{part}.*")
                return Query.const_score_query(containing, self._weight("words", part))
            case _:
                return Query.boolean_query(
                    [
                        (Occur.Should, Query.term_query(self._schema, field, term, "freq"))
                        for field, term in terms
                    ]
                )

    def _passing(self, scope: Scope) -> Iterator[tuple[Occur, Query]]:
        """Yield what a memory must satisfy; it adds nothing to the score."""
        for group in scope.groups:
            has_one = Query.term_set_query(self._schema, "label", group)
            yield Occur.Must, Query.const_score_query(has_one, 0.0)
        if scope.created_from_s is not None:
            recent = Query.range_query(
                self._schema, "created_at_s", FieldType.Unsigned, lower_bound=scope.created_from_s
            )
            yield Occur.Must, Query.const_score_query(recent, 0.0)


def _schema() -> Schema:
    schema = SchemaBuilder()
    schema.add_text_field("key", stored=True, tokenizer_name="raw", index_option="basic")
    schema.add_text_field("label", tokenizer_name="raw", index_option="basic")
    schema.add_unsigned_field("sequence", fast=True)
    schema.add_unsigned_field("created_at_s", indexed=True)
    schema.add_text_field("words", tokenizer_name=_ENGLISH, index_option="freq")
    schema.add_text_field("pairs", tokenizer_name=_PAIRS, index_option="freq")
    return schema.build()


def _english_analyzer() -> TextAnalyzer:
    return (
        TextAnalyzerBuilder(Tokenizer.simple())
        .filter(Filter.remove_long(_WORD_BYTES_MAX))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stopword("english"))
        .filter(Filter.stemmer("english"))
        .build()
    )


def _indexed(sequence: int, document: Document) -> tantivy.Document:
    title = "" if document.text.startswith(document.title) else document.title
    text = "\n".join((title, document.text, *document.tags))
    indexed = tantivy.Document()
    indexed.add_text("key", document.key.hex())
    indexed.add_unsigned("sequence", sequence)
    indexed.add_unsigned("created_at_s", document.created_at_s)
    for label in document.labels:
        indexed.add_text("label", label)
    indexed.add_text("words", _SPACELESS.sub(" ", text))
    for run in _SPACELESS.findall(text):
        indexed.add_text("pairs", run)
    return indexed


@contextlib.contextmanager
def _damage_found() -> Iterator[None]:
    """Turn whatever tantivy raises into IndexDamaged.

    It names all its errors ValueError, and a panic in it arrives as a BaseException that would end
    the daemon. On the thread that owns the index nobody else raises one.
    """
    try:
        yield
    except BaseException as error:
        raise IndexDamaged(f"{type(error).__name__}: {error}") from error
