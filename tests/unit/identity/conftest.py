from collections.abc import Iterator

import pytest

from tests.support.worlds.person import Person, some_person


@pytest.fixture
def ann() -> Iterator[Person]:
    with some_person() as person:
        yield person


@pytest.fixture
def ben() -> Iterator[Person]:
    with some_person() as person:
        yield person
