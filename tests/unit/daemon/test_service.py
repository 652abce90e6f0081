"""What the daemon says of itself."""

from buddies_core.daemon.service import disk_warnings
from buddies_core.model.views import DiskUse, Used


def test_a_room_and_an_author_that_have_used_nearly_all_they_may_are_named() -> None:
    disk = DiskUse(
        room_quota=1000 << 10,
        author_quota=100 << 10,
        rooms=(Used("ops", 950 << 10), Used("demo", 900 << 10)),
        authors=(Used("ann (6162)", 91 << 10), Used("bob (6163)", 90 << 10)),
    )
    assert disk_warnings(disk) == (
        "room 'ops' uses 950KiB of this machine's disk and may use 1000KiB; beyond that nothing of "
        "it is kept. Allow more with: buddies-cli config set room_quota 2MiB, then: "
        "buddies-cli daemon restart",
        "what ann (6162) has written uses 91KiB of this machine's disk and may use 100KiB; beyond "
        "that nothing of it is kept. Allow more with: buddies-cli config set author_quota 200KiB, "
        "then: buddies-cli daemon restart",
    )
