"""Every option that takes a number, typed with what is none or is out of its range."""

from collections.abc import Iterator

import click
import pytest

from buddies_cli.app import Duration, Seconds
from tests.support.commands import command_at, every_command
from tests.unit.cli.conftest import Person

NO_NUMBERS = ["nan", "inf", "-inf", "1e300", "1" + "0" * 300, "-1", "true", ""]


def kinds() -> Iterator[tuple[tuple[str, ...], click.Option]]:
    for path, command in every_command():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and isinstance(
                parameter.type, click.types.IntParamType | click.types.FloatParamType | Duration
            ):
                yield path, parameter


NUMBERS = [(path, option) for path, option in kinds() if not option.is_flag and not option.count]


def least(path: tuple[str, ...]) -> list[str]:
    """Return the shortest command line that such a command takes."""
    command = command_at(*path)
    words = list(path)
    for parameter in command.params:
        if parameter.required and parameter.nargs == 1:
            choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ["x"]
            option = [parameter.opts[0]] if isinstance(parameter, click.Option) else []
            words += [*option, choices[0]]
    return words


@pytest.mark.parametrize(("path", "option"), NUMBERS)
def test_what_is_out_of_range_is_refused_with_the_option_and_its_range(
    person: Person, path: tuple[str, ...], option: click.Option
) -> None:
    kind = option.type
    if isinstance(kind, click.IntRange | Seconds):
        assert kind.min is not None
        assert kind.max is not None
        below = "<" if kind.min_open else "<="
        range = f"is not in the range {kind.min}{below}x<={kind.max}."
        no_number = "is not a valid "
    else:
        assert isinstance(kind, Duration), "an option that takes a number has a range"
        range = no_number = "is not a duration; write one such as 30m, 24h or 7d."
    for typed in NO_NUMBERS:
        seen = person.types(*least(path), option.opts[0], typed)
        assert (seen.code, seen.out, seen.err.count("\n")) == (2, "", 1), typed
        assert f"Invalid value for '{option.opts[0]}'" in seen.err
        assert range in seen.err or no_number in seen.err, typed
    assert person.machine.daemon.asked == []


def test_the_options_that_take_a_number_are_found() -> None:
    found = {(path[-1], option.opts[0]) for path, option in NUMBERS}
    assert {("search", "--timeout"), ("ticket", "--uses"), ("watch", "--count")} <= found
