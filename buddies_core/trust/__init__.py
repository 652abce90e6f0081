"""Decides which messages to believe: signatures, keys that vouch for peers, policies, revocations.

Not here: checking one signature (`identity`), and the effects of a believed message.
"""
