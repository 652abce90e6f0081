"""One file with what a maintainer needs to understand a problem, without secrets."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_cli.doctor.redaction import Redaction
from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.paths import Paths, config_file, home_directory
from buddies_core.places import HOST_START_LOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buddies_core.model.json_view import JsonObject

ENDING = ".tar.gz"
OWNER_ONLY = 0o600
LOG_BYTES_MAX = 2_000_000
"""Only the end of each log goes into the bundle."""


def write_bundle(
    file: Path, environ: Mapping[str, str], report: JsonObject, status: JsonObject | None
) -> list[str]:
    """Write the bundle, and return what is in it.

    Raises:
        InvalidInput: the file's name does not say what it is.
        NotAllowed: there is such a file already.
    """
    if not file.name.endswith(ENDING):
        raise InvalidInput(f"{file} must end in {ENDING}, as it is a compressed archive")
    redaction = redaction_for(environ)
    names = []
    try:
        target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise NotAllowed(f"{file} already exists; give another name") from None
    with os.fdopen(target, "wb") as written, tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, text in _texts(environ, report, status):
            content = redaction.of(text).encode()
            member = tarfile.TarInfo(f"buddies/{name}")
            member.size, member.mode = len(content), OWNER_ONLY
            archive.addfile(member, io.BytesIO(content))
            names.append(name)
    return names


def redaction_for(environ: Mapping[str, str]) -> Redaction:
    """Return what is secret on this machine."""
    paths, home = Paths.from_environment(environ), home_directory(environ)
    files = (paths.node_key, paths.http_token, paths.data_dir / "identity_ed25519")
    in_environment = environ.get("BUDDIES_HTTP_TOKEN", "").encode()
    homes = [] if home is None else [str(home), os.path.realpath(home)]
    return Redaction([*map(_bytes, files), in_environment], homes)


def _texts(
    environ: Mapping[str, str], report: JsonObject, status: JsonObject | None
) -> Iterator[tuple[str, str]]:
    paths, settings = Paths.from_environment(environ), config_file(environ)
    yield "doctor.json", json.dumps(report, indent=2)
    if status is not None:
        yield "status.json", json.dumps(status, indent=2)
    yield "packages.txt", "\n".join(sorted(_packages())) + "\n"
    yield "files.txt", "\n".join(_listed(paths.data_dir)) + "\n"
    if settings is not None and settings.exists():
        yield "config.toml", _end_of(settings)
    for log in (
        *sorted(paths.data_dir.glob("core.log*")),
        *sorted(paths.data_dir.glob("host.log*")),
        paths.start_log,
        paths.data_dir / HOST_START_LOG,
    ):
        if log.is_file():
            yield log.name, _end_of(log)


def _packages() -> Iterator[str]:
    for found in importlib.metadata.distributions():
        yield f"{found.metadata['Name']} {found.version}"


def _listed(directory: Path) -> Iterator[str]:
    """Return the files of the data directory by name, mode and size; none of what is in them."""
    for path in sorted(directory.rglob("*")):
        try:
            found = path.lstat()
        except OSError:
            continue
        yield f"{found.st_mode:o} {found.st_size:>12} {path.relative_to(directory)}"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _end_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            length = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, length - LOG_BYTES_MAX))
            return opened.read().decode(errors="replace")
    except OSError as error:
        return f"it can't be read: {error.strerror}\n"
