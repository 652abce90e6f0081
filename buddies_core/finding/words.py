"""Splits texts into the words that are indexed and looked up.

Texts are compared as NFKC, so it makes no difference how a letter was typed. Text between spaces is
a word if it has letters or digits:

- English analysis applies to words of all scripts but Cyrillic: lower case, no accents, no stop
  words, stems. Cyrillic words have Russian stems.
- A compound, such as `orders.v2`, `PG-1234`, `get_user` or `getUser`, is a word as a whole, and so
  is each of its parts. `get_user` and `getUser` are the same word.
- Scripts without spaces between words are indexed as single characters and as pairs of them.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from buddies_core.finding.ranking import ORDINARY_WEIGHT, Question, Term, compound, trust

VERSION = 2
"""Raised with each change to how texts are split: all documents' words are then indexed anew."""

_WORD_BYTES_MAX = 129
"""Enough for SHA-512 in hex, which has 128."""
_TERMS_MAX = 64
"""The most terms in a question. Those with the least weight are left out."""

_VOCABULARY = Path(__file__).with_name("vocab.txt")
_FIRST_WORD = 1996
"""The first line with a word; the lines before are characters and marks."""
_LANGUAGES = (
    "danish", "dutch", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "spanish", "swedish",
)  # fmt: skip

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u3400-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han, and Hangul. Hangul has spaces between words, but its words
have endings that no stemmer here knows."""
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0670\u0900-\u0dff"
"""Vowels and accents that are written over, under or beside a letter."""
_LETTER = rf"(?:[^\W{_SPACELESS}]|[{_MARKS}])"
_PIECE = re.compile(
    rf"(?P<run>[{_SPACELESS}]+)|[A-Za-z](?:\+\+|\#)(?!\w)|{_LETTER}+(?:[-.]{_LETTER}+)*"
)
_PART = re.compile(r"[-._]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_JOINT = re.compile(r"(?<!\d)[-._]+|[-._]+(?!\d)")
"""The joints of a compound. Those between digits are kept: 1.23 is not 12.3."""
_CYRILLIC = re.compile("[\u0400-\u052f]")

_QUESTION_WORDS = """
    how what which where when who whom whose why whether do does did done doing have has had having
    been being were am can could should would shall may might must we us our ours you your yours i
    me my mine he him his she her hers its them from about any some so than too very just also
    up again here there now then once only own same both each few more most other all
    please tell show explain s t re ve ll d m don doesn didn isn aren
"""
"""Words to ignore in a question, besides tantivy's stop words. If `up` counted, notes on setting up
other things would answer `how is the DB set up?` where there are few notes (measured)."""
_FUNCTION_CHARACTERS = re.compile(
    unicodedata.normalize(
        "NFKC",
        # Chinese
        "什么|怎么|怎样|如何|哪里|哪个|哪些|多少|为何|可以|我们|你们|他们|[的了是在里吗呢吧啊我你他她它这那有和与及或就都也很会能请谁哪个]|"
        # Japanese
        "何処|[\u3040-\u309f]|"
        # Thai
        "ที่ไหน|อะไร|อย่างไร|ยังไง|เมื่อไหร่|เมื่อไร|เท่าไร|เท่าไหร่|ทำไม|ใคร|ไหน|ไหม|กี่|คือ|เป็น|อยู่|ของ|ใน|ที่|และ|หรือ|ได้|ให้|ถูก|จาก|กับ|เรา|"
        # Lao
        "ຢູ່ໃສ|ແມ່ນຫຍັງ|ແມ່ນ|ຢູ່|ຂອງ|ໃນ|ທີ່|ແລະ|ຫຍັງ|ໃດ|"
        # Khmer
        "អ្វី|ណា|នៅ|ជា|របស់|ក្នុង|និង|ដែល|"
        # Korean: question words, and the endings of nouns
        "어떻게|무엇|어디|언제|어느|얼마|누가|누구|"
        "(?<=[\uac00-\ud7ff]{2})(?:에서|으로|은|는|이|가|을|를|의|에|로|도|와|과|나요|니까)(?![\uac00-\ud7ff])",
    )
)
"""Text to ignore in a question in these scripts."""


def words(text: str) -> list[str]:
    """Return the words of a document's text, in order and with repetitions."""
    return [word for piece in _PIECE.finditer(_normal(text)) for word in _words_of(piece)]


def question(text: str) -> Question:
    """Return what to look up for a question, and how much to trust its vector."""
    pieces = list(_PIECE.finditer(_normal(text)))
    runs = [piece[0] for piece in pieces if piece["run"]]
    found = [term for piece in pieces if not piece["run"] for term in _terms_of(piece[0])]
    asked = [term for term in found if term.word not in _question_words()]
    grams = [gram for part in _without_function_characters(runs) for gram in _pairs(part)]
    asked += [Term(gram, 1.0) for gram in grams]
    terms = {term.word: term for term in asked or found}
    heaviest = sorted(terms.values(), key=lambda term: -term.weight)
    letters = sum(len(piece[0]) for piece in pieces)
    return Question(
        terms=tuple(heaviest[:_TERMS_MAX]),
        trust=trust(sum(map(len, runs)) / letters) if letters else 1.0,
    )


def spans(text: str, question: Question) -> list[tuple[int, int]]:
    """Return where a text has words of the question, as (start, end) in order."""
    wanted = {term.word for term in question.terms}
    wanted |= {part for term in question.terms for part, _ in term.parts}
    found: list[tuple[int, int]] = []
    for start, end in _matches(text, wanted, question.fragment):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _matches(text: str, wanted: set[str], fragment: str) -> Iterator[tuple[int, int]]:
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        run = piece["run"]
        if run and _normal(run) == run:
            for at in range(len(run)):
                if run[at] in wanted:
                    yield start + at, start + at + 1
                if run[at : at + 2] in wanted:
                    yield start + at, min(start + at + 2, end)
        else:
            # For ASCII, `_indexed` gives the same result five times as fast.
            has = _indexed(piece[0]) if piece[0].isascii() else words(piece[0])
            if not wanted.isdisjoint(has) or (fragment and any(fragment in word for word in has)):
                yield start, end


def _normal(text: str) -> str:
    """Return the text as it is compared, without lone surrogates, which tantivy can't take."""
    return unicodedata.normalize("NFKC", text.encode(errors="replace").decode())


def _words_of(piece: re.Match[str]) -> tuple[str, ...]:
    if piece["run"]:
        return (*piece[0], *map("".join, pairwise(piece[0])))
    return _indexed(piece[0])


@lru_cache(1 << 15)
def _indexed(piece: str) -> tuple[str, ...]:
    parts = _parts(piece)
    if len(parts) == 1:
        return _analyzed(parts[0])
    return (*_analyzed(_joined(piece)), *(word for part in parts for word in _analyzed(part)))


def _terms_of(piece: str) -> list[Term]:
    parts = {word: _weight(part, word) for part in _parts(piece) for word in _analyzed(part)}
    whole = _joined(piece)
    return [
        compound(word, _weight(whole, word), list(parts.items()))
        if len(parts) > 1
        else Term(word, _weight(whole, word))
        for word in _analyzed(whole)
    ] or [Term(word, weight) for word, weight in parts.items()]


def _without_function_characters(runs: list[str]) -> list[str]:
    """Return the runs of a question without function characters; all of them if nothing is left."""
    left = [part for run in runs for part in _FUNCTION_CHARACTERS.sub(" ", run).split()]
    return left or runs


def _pairs(run: str) -> list[str]:
    return ["".join(pair) for pair in pairwise(run)] or [run]


def _parts(piece: str) -> list[str]:
    return [part for part in _PART.split(piece) if part] or [piece]


def _joined(piece: str) -> str:
    return _JOINT.sub("", piece) or piece


@lru_cache(1 << 15)
def _analyzed(word: str) -> tuple[str, ...]:
    """Return the word as it is indexed; an empty tuple for a stop word."""
    return tuple((_russian() if _CYRILLIC.search(word) else _english()).analyze(word))


def _weight(written: str, word: str) -> float:
    ordinary = word in _english_words() or not _no_stop_word().analyze(written)
    return ORDINARY_WEIGHT if ordinary else 1.0


@cache
def _english() -> TextAnalyzer:
    return (
        TextAnalyzerBuilder(Tokenizer.whitespace())
        .filter(Filter.remove_long(_WORD_BYTES_MAX))
        .filter(Filter.lowercase())
        .filter(Filter.ascii_fold())
        .filter(Filter.stopword("english"))
        .filter(Filter.stemmer("english"))
        .build()
    )


@cache
def _russian() -> TextAnalyzer:
    return (
        TextAnalyzerBuilder(Tokenizer.whitespace())
        .filter(Filter.remove_long(_WORD_BYTES_MAX))
        .filter(Filter.lowercase())
        .filter(Filter.stopword("russian"))
        .filter(Filter.stemmer("russian"))
        .build()
    )


@cache
def _no_stop_word() -> TextAnalyzer:
    """Return an analyzer that removes the stop words of `_LANGUAGES`."""
    analyzer = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.lowercase())
    for language in _LANGUAGES:
        analyzer = analyzer.filter(Filter.stopword(language))
    return analyzer.build()


@cache
def _english_words() -> frozenset[str]:
    """Return the stems of the model's whole words, which are mostly frequent English words."""
    lines = _VOCABULARY.read_text("utf-8").splitlines()[_FIRST_WORD:]
    return frozenset(_english().analyze(" ".join(it for it in lines if not it.startswith("##"))))


@cache
def _question_words() -> frozenset[str]:
    return frozenset(_english().analyze(_QUESTION_WORDS))
