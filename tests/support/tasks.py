"""Tasks to test with: whole and valid unless told otherwise."""

from typing import Any
from uuid import UUID

from buddies_core.model.ids import TaskId
from buddies_core.model.task import TaskLimits, TaskOrder, TaskTarget
from tests.support.memories import ALICE, DEMO


def task_id(number: int) -> TaskId:
    """Return the id with this number, a valid UUIDv4."""
    return TaskId(UUID(int=number << 80 | 4 << 76 | 8 << 60))


def an_order(number: int = 1, **changes: Any) -> TaskOrder:
    """Return an order of Alice's claude; `number` decides its id."""
    fields: dict[str, Any] = {
        "id": task_id(number),
        "room": DEMO,
        "description": "Run the test suite and report failures",
        "requester": ALICE,
        "requester_user": "alice",
        "requester_agent": "claude",
        "target": TaskTarget(),
        "limits": TaskLimits(),
        "retryable": True,
        "trace_id": task_id(number),
        "path": (f"{ALICE.hex()}/claude",),
        "created_at_ms": 1_700_000_000_000,
    }
    return TaskOrder(**(fields | changes))
