"""The node's key on disk."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buddies_core.errors import StoreError
from buddies_core.identity.node_key import NodeKey, load_or_create

# RFC 8032, 7.1, test 1 and 2.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
ENDPOINT = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SIGNED_NOTHING = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)


def test_a_seed_gives_the_public_key_and_the_signature_of_rfc_8032() -> None:
    key = NodeKey(SEED)
    assert (key.endpoint.hex(), key.sign(b"").hex()) == (ENDPOINT, SIGNED_NOTHING)


def test_the_seed_is_not_shown() -> None:
    assert repr(NodeKey(SEED)) == "NodeKey()"


def test_the_key_is_the_same_at_the_next_start(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "node_key") == load_or_create(tmp_path / "node_key")


def test_every_node_has_a_key_of_its_own(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a").endpoint != load_or_create(tmp_path / "b").endpoint


def test_the_file_holds_the_seed_alone_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "node_key"
    before = os.umask(0)
    try:
        key = load_or_create(path)
    finally:
        os.umask(before)
    assert path.read_bytes() == key.seed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["node_key"]


def test_a_key_that_others_could_read_is_closed_to_them_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "node_key"
    key = load_or_create(path)
    path.chmod(0o644)

    assert load_or_create(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "node_key_was_open" in caplog.text


def test_all_who_find_no_key_at_once_return_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(load_or_create, [tmp_path / "node_key"] * 8))
    assert keys == [keys[0]] * 8
    assert os.listdir(tmp_path) == ["node_key"]


def test_a_key_that_appears_while_one_is_made_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node_key"
    link = os.link

    def another_is_faster(source: str, target: Path) -> None:
        path.write_bytes(SEED)
        link(source, target)

    monkeypatch.setattr(os, "link", another_is_faster)
    assert load_or_create(path) == NodeKey(SEED)
    assert os.listdir(tmp_path) == ["node_key"]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_file_of_another_size_is_refused_and_left_as_it_is(tmp_path: Path, size: int) -> None:
    path = tmp_path / "node_key"
    path.write_bytes(bytes(size))
    with pytest.raises(StoreError, match=f"{path} is damaged: it has {size} bytes.*backup"):
        load_or_create(path)
    assert path.read_bytes() == bytes(size)


def test_a_path_that_is_no_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{tmp_path} can't be read or made: Is a directory"):
        load_or_create(tmp_path)


def test_a_place_where_no_file_can_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "node_key"
    with pytest.raises(StoreError, match=f"{path} can't be read or made: Not a directory"):
        load_or_create(path)


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        load_or_create(tmp_path / "node_key")
    assert os.listdir(tmp_path) == []
