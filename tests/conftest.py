"""What holds for every test."""

import signal

from hypothesis import settings

# A first example imports what it needs, and machines are busy: pytest bounds each test as a whole.
settings.register_profile("buddies", deadline=None)
settings.load_profile("buddies")

# A shell lets what it starts in the background ignore Ctrl-C, and children inherit that: the
# programs that tests start and interrupt would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
