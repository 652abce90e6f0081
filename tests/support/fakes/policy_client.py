"""A client without a daemon behind it, for policies: it answers as set up."""

from collections.abc import Sequence

from buddies_core.errors import NotAllowed
from buddies_core.model.policy import PolicyReport, PolicyView
from tests.support.fakes.client import FakeClient
from tests.support.fakes.policies import REPORT, VIEW


class PolicyClient(FakeClient):
    """Has one policy; a change has to be confirmed while `needs_confirm` says why."""

    def __init__(self) -> None:
        super().__init__()
        self.view = VIEW
        self.needs_confirm = ""

    async def get_policy(self, room: str, cursor: str = "") -> PolicyView:
        await self._answer("get_policy", room, *filter(None, (cursor,)))
        return self.view

    async def set_policy(
        self,
        room: str,
        identities: Sequence[str] = (),
        *,
        require_signed: bool = False,
        confirm: bool = False,
    ) -> PolicyReport:
        await self._answer("set_policy", room, tuple(identities), require_signed, confirm)
        return self._report(confirm)

    async def add_to_policy(
        self, room: str, identity: str, *, confirm: bool = False
    ) -> PolicyReport:
        await self._answer("add_to_policy", room, identity, confirm)
        return self._report(confirm)

    async def remove_from_policy(
        self, room: str, identity: str, *, confirm: bool = False
    ) -> PolicyReport:
        await self._answer("remove_from_policy", room, identity, confirm)
        return self._report(confirm)

    def _report(self, confirm: bool) -> PolicyReport:
        if self.needs_confirm and not confirm:
            raise NotAllowed(self.needs_confirm)
        return REPORT
