"""Policies behind the socket, in memory: they record what they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from buddies_core.errors import NotAllowed
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.policy import AffectedMember, PolicyReport, PolicyView

PEER = EndpointId(bytes(range(1, 33)))
ANN, BEN = "ssh:ssh-ed25519 AAAA", "gpg:" + "AB" * 20

VIEW = PolicyView(
    room=RoomName("feature-a"),
    require_signed=True,
    identities=(ANN, BEN),
    local_identity=ANN,
    warnings=("a warning",),
    private=True,
)
OPEN_VIEW = PolicyView(
    room=RoomName("feature-a"), require_signed=False, identities=(), local_identity=""
)
REPORT = PolicyReport(
    view=VIEW,
    shut_out=(
        AffectedMember(endpoint=PEER, name="carol", signed_by="", present=True),
        AffectedMember(endpoint=EndpointId(b""), name="old", signed_by="", present=True),
    ),
    shut_out_total=70,
    admitted=(AffectedMember(endpoint=PEER, name="ben", signed_by=BEN, present=False),),
    admitted_total=1,
)
LOCKED_OUT = "this policy would lock out this machine's own identity"


@dataclass
class FakePolicies:
    """One policy; a change to what `needs_confirm` names has to be confirmed."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    needs_confirm: str = ""
    view: PolicyView = VIEW
    report: PolicyReport = REPORT

    def get(self, room: str) -> PolicyView:
        self.calls.append(("get", room))
        return self.view

    async def set(
        self, room: str, identities: Sequence[str], *, require_signed: bool, confirm: bool
    ) -> PolicyReport:
        self.calls.append(("set", room, identities, require_signed, confirm))
        return self._report(confirm)

    async def add(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        self.calls.append(("add", room, identity, confirm))
        return self._report(confirm)

    async def remove(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        self.calls.append(("remove", room, identity, confirm))
        return self._report(confirm)

    def _report(self, confirm: bool) -> PolicyReport:
        if self.needs_confirm and not confirm:
            raise NotAllowed(self.needs_confirm)
        return self.report
