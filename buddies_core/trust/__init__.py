"""Who is believed, and why: signatures, the keys that vouch for peers, policies, revocations."""
