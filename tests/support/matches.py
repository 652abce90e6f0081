"""Why a search found something, to test with."""

from buddies_core.model.excerpt import Match, Why


def a_match(
    score: float = 0.5,
    *,
    why: Why = Why.BOTH,
    age: str = "3 weeks ago",
    offset: int = 0,
    passage: tuple[int, int] = (0, 0),
    marks: tuple[tuple[int, int], ...] = (),
) -> Match:
    """Return a match, of which the beginning is shown unless told otherwise."""
    return Match(score=score, why=why, age=age, offset=offset, passage=passage, marks=marks)
