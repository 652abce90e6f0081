"""Skills: signed, named by the hash of their content, found by a search, and voted on.

Not here: installing them for a client, which needs consent (`client.skill_files`).
"""
