"""Private rooms: members and their keys, changing both together, and invites.

Not here: how messages are sealed (`wire`), and how they travel (`net`).
"""
