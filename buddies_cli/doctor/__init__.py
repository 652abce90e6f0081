"""`buddies-cli doctor`: gathers facts about buddies on this machine, then judges them.

Not here: repairs. A finding says what to do, and the person does it.
"""
