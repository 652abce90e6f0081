import pytest

from buddies_core.errors import InvalidInput
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.resolving import Resolved, Resolver
from buddies_core.model.identity import GpgIdentity
from tests.support.worlds.person import Person, an_ed25519_signer, needs

LINE = an_ed25519_signer(b"1").identity.public_key
NOWHERE = Resolver(Gpg({"PATH": "/no"}))
FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"


def resolver(person: Person) -> Resolver:
    return Resolver(Gpg(person.environ))


@pytest.mark.parametrize("comment", ["", " ann@home", " ann at  home"])
async def test_an_ssh_key_is_the_same_with_any_comment(comment: str) -> None:
    found = await NOWHERE.resolve(f"SSH:{LINE}{comment}")
    assert found == Resolved(an_ed25519_signer(b"1").identity, in_keyring=True)


@pytest.mark.parametrize(
    "label",
    [
        f"ssh:{LINE}\nssh-ed25519 AAAA",
        f"ssh:ssh-ed25519 AAAA\n{LINE}",
        f"ssh:{LINE}\r{LINE}",
        f"ssh:{LINE}\0",
        "ssh:",
        "ssh:ssh-dss AAAA",
        "ssh:me@here",
        "gpg:",
        "gpg:me@here",
        "gpg:" + "A" * 39,
        "me@here",
        LINE,
        "",
    ],
)
async def test_what_names_no_key_or_could_name_two_is_refused(label: str) -> None:
    with pytest.raises(InvalidInput):
        await NOWHERE.resolve(label)


async def test_an_error_shows_the_beginning_of_a_long_label() -> None:
    with pytest.raises(InvalidInput) as refused:
        await NOWHERE.resolve("x" * 100_000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("written", [FINGERPRINT, FINGERPRINT.lower(), f"0x{FINGERPRINT}"])
async def test_a_full_fingerprint_needs_no_keyring(written: str) -> None:
    expected = Resolved(GpgIdentity(FINGERPRINT), in_keyring=False)
    assert await NOWHERE.resolve(f"gpg:{written}") == expected


async def test_a_long_id_without_gpg_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"can't be run.*install GnuPG.*40 hex digits"):
        await NOWHERE.resolve(f"gpg:{FINGERPRINT[-16:]}")


@pytest.mark.parametrize("written", ["01234567", "0x01234567", "0123 4567"])
async def test_a_short_id_names_nobody(written: str) -> None:
    with pytest.raises(InvalidInput, match=r"too short to tell keys apart.*full fingerprint"):
        await NOWHERE.resolve(f"gpg:{written}")


@needs("gpg")
async def test_a_key_in_the_keyring_is_found_by_fingerprint_and_by_long_id(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    spaced = " ".join(fingerprint[start : start + 4] for start in range(0, 40, 4))
    for written in (fingerprint, spaced, fingerprint[-16:], f"0x{fingerprint[-16:].lower()}"):
        found = await resolver(ann).resolve(f"gpg:{written}")
        assert found == Resolved(GpgIdentity(fingerprint), in_keyring=True)


@needs("gpg")
async def test_a_subkey_becomes_its_primary(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    ann.run("gpg", "--batch", "--passphrase", "", "--quick-add-key", fingerprint, "ed25519", "sign")
    listing = ann.run("gpg", "--batch", "--with-colons", "--list-keys", fingerprint).decode()
    (subkey,) = {row.split(":")[9] for row in listing.splitlines() if row.startswith("fpr")} - {
        fingerprint
    }
    for written in (subkey, subkey[-16:]):
        found = await resolver(ann).resolve(f"gpg:{written}")
        assert found == Resolved(GpgIdentity(fingerprint), in_keyring=True)


@needs("gpg")
async def test_a_long_id_that_no_key_has_says_what_to_do(ann: Person) -> None:
    ann.gpg_key()
    with pytest.raises(InvalidInput, match=r"no key in this machine's keyring.*gpg --import"):
        await resolver(ann).resolve(f"gpg:{FINGERPRINT[-16:]}")


async def test_a_long_id_that_several_keys_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two_keys(_id: str) -> tuple[str, ...]:
        return ("AA" * 20, "BB" * 20)

    gpg = Gpg({})
    monkeypatch.setattr(gpg, "public_keys", two_keys)
    with pytest.raises(InvalidInput, match=rf"fits several keys.*{'AA' * 20}, {'BB' * 20}"):
        await Resolver(gpg).resolve(f"gpg:{FINGERPRINT[-16:]}")
