"""Rooms: joining and leaving them, speaking in them, and who is present.

Not here: deciding whether to believe a message (`trust`), and what messages say about memories,
skills or tasks.
"""
