"""Keeps requests that outlive the search that began them, and their late answers."""

import asyncio
import logging
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeVar

from buddies_core.clock import Clock

KEPT_S = 60.0
"""How long a late answer waits for the same question to be asked again."""
KEPT_MAX = 64

AnswerT = TypeVar("AnswerT")

_log = logging.getLogger(__name__)


class LateAnswers(Generic[AnswerT]):
    """Answers that came when nobody waited any more. One event loop owns this."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: set[asyncio.Task[Any]] = set()
        self._kept: dict[Hashable, tuple[AnswerT, float]] = {}

    def start(self, asking: Coroutine[Any, Any, AnswerT]) -> asyncio.Task[AnswerT]:
        """Begin a request. It must end by itself, as cancelling its search does not end it."""
        task = asyncio.create_task(asking)  # noqa: TID251 - a group would wait for it, or cancel it
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, question: Hashable, answer: AnswerT) -> None:
        """Keep the answer to a question for when it is asked again."""
        self._kept.pop(question, None)
        self._kept[question] = (answer, self._clock.now_s())
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def take(self, question: Hashable) -> AnswerT | None:
        """Return the answer that came late the last time, once."""
        answer, came_at_s = self._kept.pop(question, (None, 0.0))
        return answer if self._clock.now_s() - came_at_s <= KEPT_S else None

    def close(self) -> None:
        """End the requests that are still under way."""
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[AnswerT]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            _log.error("late_answer_met_bug", exc_info=bug)
