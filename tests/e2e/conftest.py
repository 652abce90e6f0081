"""Machines for a test, and nothing of them left after it."""

from collections.abc import Iterator

import pytest

from tests.support.worlds.machines import Machine, some_machines


@pytest.fixture
def alice() -> Iterator[Machine]:
    with some_machines("alice") as (machine,):
        yield machine


@pytest.fixture
def bob() -> Iterator[Machine]:
    with some_machines("bob") as (machine,):
        yield machine


@pytest.fixture
def carol() -> Iterator[Machine]:
    with some_machines("carol") as (machine,):
        yield machine
