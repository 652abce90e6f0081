"""Answers that 0.1.4 peers broadcast, brought to whoever asked. One event loop owns this."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from buddies_core.model.bodies import SearchResponse, SkillSearchResponse
from buddies_core.model.ids import RequestId

ANSWERS_MAX = 32
"""Waiting for one question; further ones are dropped, for anybody can send them."""

ResponseT = TypeVar("ResponseT", SearchResponse, SkillSearchResponse)


class Replies(Generic[ResponseT]):
    """The questions of one kind that are open, by request id."""

    def __init__(self) -> None:
        self._open: dict[RequestId, asyncio.Queue[ResponseT]] = {}

    @contextmanager
    def expect(self, request_id: RequestId) -> Iterator[asyncio.Queue[ResponseT]]:
        """Collect the answers to this question in the queue for as long as the block runs."""
        answers: asyncio.Queue[ResponseT] = asyncio.Queue(ANSWERS_MAX)
        self._open[request_id] = answers
        try:
            yield answers
        finally:
            del self._open[request_id]

    def offer(self, answer: ResponseT) -> bool:
        """Hand an answer to who asked; False if nobody waits for it or has enough."""
        answers = self._open.get(answer.request_id)
        if answers is None or answers.full():
            return False
        answers.put_nowait(answer)
        return True
