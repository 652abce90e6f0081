"""Texts in pieces that a vector can stand for."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.finding.chunks import passages


def sentence(name: str, words: int) -> str:
    return " ".join(f"{name}{number}" for number in range(words)) + "."


def chunks(title: str, content: str) -> tuple[str, ...]:
    """Return the passages without the sentences that follow them."""
    return tuple(it.text for it in passages(title, content) if not it.is_sentence)


def sentences(title: str, content: str) -> tuple[str, ...]:
    return tuple(it.text for it in passages(title, content) if it.is_sentence)


def test_a_short_memory_is_one_chunk_with_its_title_in_front() -> None:
    content = "It holds  the users.\n\nAnd the groups."
    assert chunks("Database", content) == ("Database\nIt holds the users. And the groups.",)


def test_a_title_that_the_content_begins_with_is_not_said_twice() -> None:
    assert chunks("It holds", "It holds the users.") == ("It holds the users.",)


def test_a_memory_without_title_is_its_content() -> None:
    assert chunks("", "It holds the users.") == ("It holds the users.",)


def test_a_memory_without_content_is_its_title() -> None:
    assert (chunks("Database", " "), chunks("", "")) == (("Database",), ())


def test_sentences_are_packed_until_they_have_thirty_words() -> None:
    a, b, c, d = (sentence(name, 20) for name in "abcd")
    assert chunks("T", f"{a} {b} {c}\n{d}") == (f"T\n{a} {b}", f"T\n{c} {d}")


def test_a_sentence_that_would_make_more_than_sixty_words_begins_a_new_chunk() -> None:
    a, b, c = sentence("a", 20), sentence("b", 50), sentence("c", 10)
    assert chunks("T", f"{a} {b} {c}") == (f"T\n{a}", f"T\n{b}", f"T\n{c}")


def test_a_sentence_of_more_than_sixty_words_is_cut_between_words() -> None:
    words = sentence("a", 130).split()
    assert chunks("", " ".join(words)) == (
        " ".join(words[:60]),
        " ".join(words[60:120]),
        " ".join(words[120:]),
    )


def test_chinese_sentences_end_without_a_space() -> None:
    first, second = "\u6570\u636e" * 30 + "\u3002", "\u7528\u6237" * 30 + "\u3002"
    assert chunks("", first + second) == (first, second)


def test_six_thousand_chinese_characters_are_all_in_passages_that_the_model_can_read() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(6000))
    made = chunks("", text)
    assert "".join(made).replace(" ", "") == text
    assert max(map(len, made)) <= 200


def test_a_text_without_a_space_is_cut() -> None:
    made = chunks("", "0123456789" * 10_000)
    assert "".join(made).replace(" ", "") == "0123456789" * 10_000
    assert max(map(len, made)) <= 1000


def test_a_passage_knows_where_in_the_text_it_is() -> None:
    text = "  " + " \n".join(sentence(name, 40) for name in "abc") + "\n"
    made = passages("T", text)
    assert [text[it.start : it.end] for it in made] == [it.text[2:] for it in made]


def test_the_sentences_of_a_long_text_follow_its_passages_without_the_title() -> None:
    a, b, c, d = (sentence(name, 20) for name in "abcd")
    assert sentences("T", f"{a} {b} {c} {d}") == (a, b, c, d)
    assert [it.is_sentence for it in passages("T", f"{a} {b} {c} {d}")] == [False] * 2 + [True] * 4


def test_neither_a_short_text_nor_a_passage_of_one_sentence_nor_a_few_words_are_said_again() -> (
    None
):
    a, b, c = sentence("a", 50), sentence("b", 20), sentence("c", 10)
    assert sentences("T", f"{b} {c}") == ()
    assert sentences("T", f"{a} {a}") == ()
    assert sentences("T", f"{a} {b} Not so. {c}") == (b, c)


@given(st.text("ab .!\n", max_size=1500))
def test_no_word_is_lost_and_no_chunk_is_long(content: str) -> None:
    made = chunks("", content)
    assert [word for chunk in made for word in chunk.split()] == content.split()
    assert all(len(chunk.split()) <= 60 for chunk in made)
