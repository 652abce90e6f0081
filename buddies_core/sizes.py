"""Sizes as people write them."""

import re

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_BY_LETTER = {unit[0]: factor for unit, factor in _UNITS.items()}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(?:i?B)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes that a text such as `256MiB` or `1.5 GiB` means.

    Raises:
        ValueError: it is not such a text.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a size such as 256MiB or 1.5GiB")
    return int(float(found[1]) * _BY_LETTER[found[2].upper()])


def size_text(size: int) -> str:
    """Return a size for people, which `parse_size` reads from a kibibyte on: `1.5GiB`."""
    unit = max((it for it in _UNITS if size >= _UNITS[it]), key=_UNITS.__getitem__, default="B")
    return f"{size / _UNITS[unit]:.1f}".removesuffix(".0") + unit
