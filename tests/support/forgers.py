"""What somebody needs who forges: keys of every kind that must not count, and their signatures."""

from dataclasses import dataclass, replace

from buddies_core.identity.git_calls import SshCall
from buddies_core.identity.signers import Signer, SshProgramSigner
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.skill import SkillEntry
from buddies_core.skills.content import NAMESPACE, signing_payload
from tests.support.worlds.person import Person

LONG_AGO = "20200101T000000"
A_MONTH_LATER = "20200201T000000"


@dataclass(frozen=True)
class GpgProgram:
    """A key in somebody's keyring; gpg itself signs by it, at another time if need be."""

    person: Person
    fingerprint: str
    at: str = ""

    @property
    def identity(self) -> GpgIdentity:
        return GpgIdentity(self.fingerprint)

    @property
    def label(self) -> str:
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        time = ("--faked-system-time", self.at) if self.at else ()
        key = ("--local-user", self.fingerprint)
        return self.person.run("gpg", "--batch", *time, *key, "--detach-sign", given=payload)


@dataclass(frozen=True)
class ForgersKeys:
    """Keys of a forger, the OpenPGP ones known to their victim."""

    gpg: GpgProgram
    other_gpg: GpgProgram
    expired: GpgProgram
    revoked: GpgProgram
    ssh: Signer
    ssh_line: str

    def wrong(
        self, of_another: SshIdentity
    ) -> tuple[tuple[str, Signer, SignerIdentity | None], ...]:
        """Return each way to sign that is wrong: what it is, who signs, and in whose name."""
        two_lines = SshIdentity(f"{of_another.public_key}\nbuddies {self.ssh_line}")
        return (
            ("one gpg key's id with another's signature", self.other_gpg, self.gpg.identity),
            ("an expired gpg key", self.expired, None),
            ("a revoked gpg key", self.revoked, None),
            ("another's ssh key", self.ssh, of_another),
            ("another's ssh key on a line before the forger's", self.ssh, two_lines),
        )


def forgers_keys(forger: Person, victim: Person) -> ForgersKeys:
    """Make the forger's keys; the victim's keyring has the OpenPGP ones, one of them revoked."""
    one, two, three = (forger.gpg_key(user=f"{name} <me@here>") for name in "123")
    past = ("gpg", "--batch", "--passphrase", "", "--faked-system-time", LONG_AGO)
    forger.run(*past, "--quick-gen-key", "4 <me@here>", "ed25519", "sign", A_MONTH_LATER)
    (four,) = set(forger.fingerprints()) - {one, two, three}
    victim.trusts(forger)
    # gpg puts a colon before it, lest it be imported by accident.
    revocation = (forger.home / f"gnupg/openpgp-revocs.d/{three}.rev").read_bytes()
    victim.run("gpg", "--batch", "--import", given=revocation.replace(b":-----", b"-----"))
    ssh = forger.ssh_key()
    line = forger.public_line(ssh)
    return ForgersKeys(
        gpg=GpgProgram(forger, one),
        other_gpg=GpgProgram(forger, two),
        revoked=GpgProgram(forger, three),
        expired=GpgProgram(forger, four, LONG_AGO),
        ssh=SshProgramSigner(SshIdentity(line), SshCall(ssh, forger.environ)),
        ssh_line=line,
    )


async def signed_entry(
    entry: SkillEntry, signer: Signer, claimed: SignerIdentity | None = None
) -> SkillEntry:
    """Return a skill's entry signed by this key, in its own name or another's."""
    signature = await signer.sign(signing_payload(entry), NAMESPACE)
    return replace(entry, signed_by=claimed or signer.identity, signature=signature)
