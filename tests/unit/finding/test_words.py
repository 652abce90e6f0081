"""The words of texts and of questions."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.finding.ranking import ORDINARY_WEIGHT, coverage
from buddies_core.finding.words import question, spans, words


def asked(text: str) -> dict[str, float]:
    return {term.word: term.weight for term in question(text).terms}


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("The users' tables were Naïve, Straße", ["user", "tabl", "were", "naiv", "strass"]),
        ("getUserById", ["getuserbyid", "get", "user", "id"]),
        ("get_user_by_id", ["getuserbyid", "get", "user", "id"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("orders.v2", ["ordersv2", "order", "v2"]),
        ("PG-1234.", ["pg1234", "pg", "1234"]),
        ("v1.23", ["v1.23", "v1", "23"]),
        ("10.0.0.1:5432", ["10.0.0.1", "10", "0", "0", "1", "5432"]),
        ("__init__", ["init"]),
        ("C++ and C#, not C", ["c++", "c#", "c"]),
        ("базами данных", ["баз", "дан"]),
        ("用户表", ["用", "户", "表", "用户", "户表"]),
        ("ﾃﾞｰﾀ", ["デ", "ー", "タ", "デー", "ータ"]),
        ("Kubernetes上", ["kubernet", "上"]),
        ("한국어", ["한", "국", "어", "한국", "국어"]),
        ("a\ud800b \0 \U0001f600", ["b"]),
        ("", []),
    ],
)
def test_a_document_has_these_words(text: str, has: list[str]) -> None:
    assert words(text) == has


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("text", ["Zürich café", "데이터베이스", "データベース", "ﾃﾞｰﾀ", "ﬁle x²"])
def test_however_a_text_is_typed_its_words_are_the_same(text: str, form: str) -> None:
    typed = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert words(typed) == words(text)
    assert question(typed) == question(text)


def test_names_weigh_more_than_words_of_english_or_stop_words_of_other_languages() -> None:
    weights = asked("wie ist pgbouncer für PG-1234 set up with the table")
    assert weights == {
        "pgbouncer": 1.0,
        "pg1234": 1.0,
        "wie": ORDINARY_WEIGHT,
        "ist": ORDINARY_WEIGHT,
        "fur": ORDINARY_WEIGHT,
        "set": ORDINARY_WEIGHT,
        "tabl": ORDINARY_WEIGHT,
    }


def test_question_words_count_only_if_there_is_nothing_else() -> None:
    assert asked("how do we do this?") == dict.fromkeys(("how", "do", "we"), ORDINARY_WEIGHT)
    assert list(asked("how do we deploy this?")) == ["deploy"]


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("数据库在哪里", ["数据", "据库"]),
        ("ユーザーの表", ["ユー", "ーザ", "ザー", "表"]),
        ("어디에 데이터가", ["데이", "이터"]),
        ("库", ["库"]),
        ("のは", ["のは"]),
    ],
)
def test_questions_in_scripts_without_spaces_are_pairs_without_what_makes_them_questions(
    text: str, grams: list[str]
) -> None:
    assert list(asked(text)) == grams


def test_the_more_of_a_question_has_no_spaces_the_less_its_vector_is_trusted() -> None:
    assert [question(it).trust for it in ("user table", "ab 数据", "数据库在哪里")] == [
        1,
        0.5,
        0.25,
    ]


def test_of_ten_thousand_words_the_heaviest_are_looked_up() -> None:
    text = " ".join(["table user page"] * 3000 + [f"name{number}" for number in range(100)])
    terms = question(text).terms
    assert (len(terms), {term.weight for term in terms}) == (64, {1.0})


def test_the_words_of_a_question_are_marked_where_they_are() -> None:
    text = "Cafe\u0301s: PG-1234 holds 用户表, and postgresql!"
    marked = [text[start:end] for start, end in spans(text, question("café pg-1234 用户"))]
    assert marked == ["Cafe\u0301s", "PG-1234", "用户"]
    fragment = spans(text, question("ostgre"))
    assert [text[start:end] for start, end in fragment] == ["postgresql"]


@given(st.text(max_size=60))
def test_any_text_covers_itself(text: str) -> None:
    asked = question(text)
    has = set(words(text))
    assert not asked.terms or coverage(asked, has) == pytest.approx(1.0)
    assert all(" " not in word for word in has)


@given(st.text(max_size=60), st.text(max_size=20))
def test_spans_are_in_order_and_within_the_text(text: str, query: str) -> None:
    at = 0
    for start, end in spans(text, question(query)):
        assert at <= start < end <= len(text)
        at = end
