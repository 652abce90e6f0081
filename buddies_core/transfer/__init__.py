"""Exports and imports: a room as lines of JSON.

Not here: backups of the whole store (`daemon`). Each imported line is admitted as a message is.
"""
