"""The node's own key, which makes it the same peer after a restart, so that tickets stay valid."""

import logging
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nacl.signing import SigningKey

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId

SEED_BYTES = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """An Ed25519 key pair. The seed is the secret: it is never shown."""

    seed: bytes = field(repr=False)
    _signing_key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_signing_key", SigningKey(self.seed))

    @property
    def endpoint(self) -> EndpointId:
        """The public half, by which peers know this node."""
        return EndpointId(bytes(self._signing_key.verify_key))

    def sign(self, payload: bytes) -> bytes:
        """Return the 64 bytes of this node's signature."""
        return self._signing_key.sign(payload).signature


def load_or_create(path: Path) -> NodeKey:
    """Return the key that is stored in this file; make one if there is none.

    On return the file is on disk, whole, and readable only by its owner. Of several processes that
    find no key, one makes it and all return it.

    Raises:
        StoreError: the file can't be read or made, or is not a key.
    """
    try:
        if not path.exists():
            _create(path)
        _keep_from_others(path)
        seed = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the node key {path} can't be read or made: {error.strerror}; "
            "let the user who runs buddies read the file and write to its directory"
        ) from error
    if len(seed) != SEED_BYTES:
        raise StoreError(
            f"the node key {path} is damaged: it has {len(seed)} bytes, not {SEED_BYTES}. Restore "
            "it from a backup, or move it away: the node then becomes a new peer, and tickets that "
            "name the old one no longer lead to it"
        )
    return NodeKey(seed)


def _keep_from_others(path: Path) -> None:
    """Remove access that a copy or a restored backup may have given to other users."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        log.warning("node_key_was_open path=%s mode=%o: others may have read it", path, mode)
        path.chmod(0o600)


def _create(path: Path) -> None:
    """Write a new key beside `path`, then give it that name unless another process was faster.

    A link, not a rename: a rename would replace a key that the other process already uses.
    """
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(SigningKey.generate()))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make the names in it survive a power cut, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
