"""Private rooms: the keyring, changing the keys together with the members, and invites."""
