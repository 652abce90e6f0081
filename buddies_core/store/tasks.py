"""The tasks in the store: those that this node asked for, and those that it was asked to do."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from buddies_core.errors import StoreError
from buddies_core.model.ids import TaskId
from buddies_core.store import keys
from buddies_core.store.database import Database
from buddies_core.store.task_records import (
    OfferRecord,
    TaskRecord,
    decode_offer,
    decode_task,
    encode_offer,
    encode_task,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class RocksTasks:
    """The tasks of a store; a part of `RocksStore`, which reads and writes single records so."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_task(self, task: TaskRecord) -> None:
        """Keep a task that this node asked for, in place of what was known of it.

        On return it is on disk.

        Raises:
            StoreError: the disk refused; what was known of it stays.
        """
        await self._put(keys.task(task.order.id), encode_task(task))

    def get_task(self, id: TaskId) -> TaskRecord | None:
        """Return the task with this id, if this node asked for one.

        Raises:
            StoreError: its record is damaged.
        """
        return self._read(keys.task(id), decode_task, f"task {id}")

    async def tasks(self) -> tuple[TaskRecord, ...]:
        """Return the tasks that this node asked for, by id; damaged ones are left out."""
        return await self._database.read(
            lambda: tuple(decoded(self._database.scan(keys.TASKS), decode_task))
        )

    async def delete_task(self, id: TaskId) -> None:
        """Forget a task that this node asked for, if it is known. On return that is on disk."""
        await self._put(keys.task(id), None)

    async def put_offer(self, offer: OfferRecord) -> None:
        """Keep a task that this node was asked to do, in place of what was known of it.

        On return it is on disk.

        Raises:
            StoreError: the disk refused; what was known of it stays.
        """
        await self._put(keys.offer(offer.order.id), encode_offer(offer))

    def get_offer(self, id: TaskId) -> OfferRecord | None:
        """Return the task with this id, if this node was asked to do one.

        Raises:
            StoreError: its record is damaged.
        """
        return self._read(keys.offer(id), decode_offer, f"offered task {id}")

    async def offers(self) -> tuple[OfferRecord, ...]:
        """Return the tasks that this node was asked to do, by id; damaged ones are left out."""
        return await self._database.read(
            lambda: tuple(decoded(self._database.scan(keys.OFFERS), decode_offer))
        )

    async def delete_offer(self, id: TaskId) -> None:
        """Forget a task that this node was asked to do, if it is known. On return it is on disk."""
        await self._put(keys.offer(id), None)

    def _read(self, key: bytes, decode: Callable[[bytes], T], name: str) -> T | None:
        try:
            data = self._database.get(key)
            return None if data is None else decode(data)
        except (StoreError, ValueError) as error:
            raise StoreError(
                f"the record of {name} is damaged ({error}); nothing else is affected"
            ) from error

    async def _put(self, key: bytes, value: bytes | None, *, synced: bool = True) -> None:
        await self._database.commit(lambda _: (None, {key: value}), synced=synced)


def decoded(records: Iterator[tuple[bytes, bytes]], decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yield what is in these records; damaged ones are left out."""
    for place, data in records:
        try:
            yield decode(data)
        except ValueError as error:
            _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
