"""Daemon and client know that they differ before they misunderstand each other."""

import hashlib
import re
from pathlib import Path

from buddies_core.local_protocol import PROTO_HASH, PROTOCOL

PROTO = Path(__file__).parents[2] / "proto"
COMMENT = re.compile(r"//[^\n]*")


def hash_of(directory: Path) -> str:
    """Return a hash of all .proto files there; comments and white space don't count."""
    hashed = hashlib.sha256()
    for path in sorted(directory.glob("*.proto")):
        words = COMMENT.sub("", path.read_text("utf-8")).split()
        hashed.update(" ".join([path.name, *words, ""]).encode())
    return hashed.hexdigest()[:16]


def test_the_protocol_is_raised_with_every_change_of_proto() -> None:
    now = hash_of(PROTO)

    assert now == PROTO_HASH, (
        f"proto/ changed: raise PROTOCOL (it is {PROTOCOL}) and put this hash: "
        f'PROTO_HASH = "{now}" in buddies_core/local_protocol.py'
    )


def test_a_comment_changes_nothing_and_a_field_does(tmp_path: Path) -> None:
    proto = tmp_path / "a.proto"
    texts = (
        "message A {\n  string b = 1;\n}\n",
        "// About A.\nmessage A {\n\n  string b = 1;  // b\n}\n",
        "message A {\n  string b = 1;\n  bool c = 2;\n}\n",
    )
    plain, commented, changed = (proto.write_text(it) and hash_of(tmp_path) for it in texts)

    assert plain == commented
    assert plain != changed
