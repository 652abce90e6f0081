"""Asking the present members of rooms for what they have, for memories and skills alike.

It knows neither memories nor skills: each of them says how it asks, and how it reads an answer.
"""
