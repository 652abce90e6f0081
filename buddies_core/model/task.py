"""Tasks as they travel: what 0.1.4 peers say about them."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """The worker's output."""

    output: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """Why there is no output."""

    message: str


TaskResult: TypeAlias = TaskSucceeded | TaskFailed
