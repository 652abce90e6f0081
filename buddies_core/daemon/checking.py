"""Looks at the daemon's settings without the data directory's lock: another daemon may run."""

from buddies_core.daemon.config import Config
from buddies_core.identity.choosing import open_signer
from buddies_core.identity.node_key import load_or_create
from buddies_core.net.binding import check_relay


async def check(config: Config) -> None:
    """Return if a daemon with these settings could start.

    The signer proves that it works, as at a start. A directory or key that is missing is made.

    Raises:
        InvalidInput: a setting is wrong.
        StoreError: the data directory, or what is in it, can't be used.
    """
    config.paths.create()
    if config.relay_url is not None:
        check_relay(config.relay_url)
    key = load_or_create(config.paths.node_key)
    await open_signer(config.environ, config.paths.data_dir, key.endpoint)
