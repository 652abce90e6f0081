"""The rows of a bench: a figure with its spread, its goal, and what it is set against. Pure."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

CHANGED_FROM = 0.15
"""The share by which a median has to differ from the last result before it is pointed out. On a
busy machine medians of the same program differ by as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The median and the high end that a figure should reach; at most these, or at least."""

    median: float
    high: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Something that was measured in turn with a figure, and bounds it from below."""

    name: str
    median: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. The name finds it again in an older result."""

    name: str
    what: str
    """What is measured, in a sentence."""
    unit: str
    median: float
    low: float
    """A tenth of the samples is lower."""
    high: float
    """One of a hundred samples is higher; of fewer than a hundred, none."""
    samples: int
    goal: Goal | None = None
    beside: Beside | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None if there is none."""
        if self.goal is None:
            return None
        if self.goal.at_least:
            return self.median >= self.goal.median
        return self.median <= self.goal.median and (
            self.goal.high is None or self.high <= self.goal.high
        )

    @property
    def ratio(self) -> float | None:
        """How many times as much it is as what it is set against."""
        return None if self.beside is None else self.median / self.beside.median


def row(
    name: str,
    what: str,
    samples: Sequence[float],
    *,
    unit: str = "ms",
    goal: Goal | None = None,
    beside: tuple[str, Sequence[float]] | None = None,
) -> Row:
    """Return what samples amount to."""
    ordered = sorted(samples)
    return Row(
        name=name,
        what=what,
        unit=unit,
        median=_rounded(statistics.median(ordered)),
        low=_rounded(ordered[len(ordered) // 10]),
        high=_rounded(ordered[-1 - len(ordered) // 100]),
        samples=len(ordered),
        goal=goal,
        beside=beside and Beside(name=beside[0], median=_rounded(statistics.median(beside[1]))),
    )


def to_json(rows: Sequence[Row]) -> str:
    """Return rows as text that `from_json` reads."""
    derived = ({"met": it.is_met, "ratio": it.ratio and _rounded(it.ratio)} for it in rows)
    return json.dumps(
        [asdict(it) | more for it, more in zip(rows, derived, strict=True)],
        indent=1,
        ensure_ascii=False,
    )


def from_json(text: str) -> list[Row]:
    """Return the rows of a result."""
    return [_row_of(it) for it in json.loads(text)]


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown."""
    head = (
        "| figure | median | low – high | goal | met | beside | ratio |\n"
        "|---|---:|---:|---:|---|---|---:|\n"
    )
    return head + "\n".join(_line(it) for it in rows)


def differences(now: Sequence[Row], last: Sequence[Row]) -> str:
    """Return a line for each row of now: its median beside that of the last result.

    Where a row was measured beside something, the ratios are compared: they hold on any machine.
    """
    before = {it.name: it for it in last}
    return "\n".join(_difference(it, before.get(it.name)) for it in now)


def _difference(now: Row, last: Row | None) -> str:
    if last is None:
        return f"  new      {now.name}: {_figure(now.median)} {now.unit}"
    ratios = now.ratio, last.ratio
    if ratios[0] is not None and ratios[1] is not None:
        then, after, of = ratios[1], ratios[0], f"times {now.beside.name}" if now.beside else ""
    else:
        then, after, of = last.median, now.median, now.unit
    change = (after - then) / then if then else 0.0
    better = change > 0 if now.goal and now.goal.at_least else change < 0
    word = "same" if abs(change) < CHANGED_FROM else "better" if better else "worse"
    return f"  {word:8} {now.name}: {_figure(then)} → {_figure(after)} {of} ({change:+.0%})"


def _line(it: Row) -> str:
    goal, met = "", ""
    if it.goal is not None:
        sign = "≥" if it.goal.at_least else "≤"
        high = "" if it.goal.high is None else f" / {_figure(it.goal.high)}"
        goal, met = f"{sign} {_figure(it.goal.median)}{high}", "yes" if it.is_met else "**no**"
    beside = ratio = ""
    if it.beside is not None and it.ratio is not None:
        beside, ratio = f"{it.beside.name}: {_figure(it.beside.median)}", _figure(it.ratio)
    return (
        f"| {it.name} | {_figure(it.median)} {it.unit} | {_figure(it.low)} – {_figure(it.high)} "
        f"| {goal} | {met} | {beside} | {ratio} |"
    )


def _row_of(said: Mapping[str, object]) -> Row:
    fields = {name: value for name, value in said.items() if name not in ("met", "ratio")}
    goal, beside = fields.pop("goal"), fields.pop("beside")
    return Row(
        **fields,  # type: ignore[arg-type] # what to_json wrote
        goal=Goal(**goal) if isinstance(goal, dict) else None,
        beside=Beside(**beside) if isinstance(beside, dict) else None,
    )


def _rounded(figure: float) -> float:
    return float(f"{figure:.3g}") if abs(figure) < 1000 else float(round(figure))


def _figure(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
