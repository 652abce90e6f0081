"""What holds for every test."""

from hypothesis import settings

# A first example imports what it needs, and machines are busy: pytest bounds each test as a whole.
settings.register_profile("buddies", deadline=None)
settings.load_profile("buddies")
