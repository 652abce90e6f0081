"""Everything that concerns peers of buddies 0.1.4: one switch, one budget.

Not here: the layout of their bytes (`wire`). The rest of the node works without this package.
"""
