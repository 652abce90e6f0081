"""Messages and stubs that `make proto` generates from proto/.

Not here: anything written by hand. What users see of them is in `model`.
"""
