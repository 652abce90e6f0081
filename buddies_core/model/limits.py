"""Limits of calls: the same at the socket, in the tools' schemas and in the CLI.

The size limits of stored items are beside their definitions, in `model.memory`, `model.task` etc.
"""

LIST_ITEMS_DEFAULT = 20
LIST_ITEMS_MAX = 500
"""The most items in one list or search. An answer holds about 130 of the shortest; a cursor gives
the rest."""

CLAIMS_DEFAULT = 1
CLAIMS_MAX = 10
"""The most tasks that one poll claims: more than one agent can begin at once."""

PAGE_CHARS_DEFAULT = 20_000
PAGE_CHARS_MAX = 40_000
"""The most characters in one page of a text; some MCP clients cut results of 50,000 characters."""

OFFSET_MAX = 1 << 20
"""The largest offset of a page: no text has more characters, as none has more bytes."""

QUERY_CHARS_MAX = 4000

SEARCH_TIMEOUT_S_DEFAULT = 3.0
SEARCH_TIMEOUT_S_MIN = 0.1
SEARCH_TIMEOUT_S_MAX = 45.0
"""The answer must arrive within the 50 s that a call may take; see `task.WAIT_S_MAX`."""

TASK_TIMEOUT_S_MIN = 1
"""The shortest overall deadline of a task; the longest is `task.TIMEOUT_S_MAX`."""

CURSOR_CHARS_MAX = 1000
"""The longest cursor holds a room's name and an endpoint id."""
