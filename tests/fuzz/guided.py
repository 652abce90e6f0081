"""Fuzz one target with atheris, which keeps what reaches code that nothing reached before.

    python -m tests.fuzz.guided TARGET DIRECTORY [LIBFUZZER OPTION ...]

DIRECTORY holds the corpus and takes what is found. This process ends as libFuzzer does: with 0, or
after the first crash, whose input it has written to a file.
"""

import sys

import atheris

with atheris.instrument_imports(include=["buddies_core", "buddies_mcp", "buddies_cli"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    _, name, directory, *options = sys.argv
    (target,) = [target for target in TARGETS if target.name == name]
    atheris.Setup([sys.argv[0], directory, *options], target.try_out)
    atheris.Fuzz()
