"""What a call may ask for: the same limits at the socket, in the tools' schemas and in the CLI.

How large stored things may be stands with what they are, in `model.memory`, `model.task` and so on.
"""

LIST_ITEMS_DEFAULT = 20
LIST_ITEMS_MAX = 500
"""In one list or search. An answer holds about 130 of the shortest; a cursor gives the rest."""

CLAIMS_DEFAULT = 1
CLAIMS_MAX = 10
"""Tasks that one poll claims: more than one agent can begin at once."""

PAGE_CHARS_DEFAULT = 20_000
PAGE_CHARS_MAX = 40_000
"""In one page of a text; some MCP clients cut results of 50,000 characters."""

OFFSET_MAX = 1 << 20
"""Where a page may begin: no text has more characters, as none has more bytes."""

QUERY_CHARS_MAX = 4000

SEARCH_TIMEOUT_S_DEFAULT = 3.0
SEARCH_TIMEOUT_S_MIN = 0.1
SEARCH_TIMEOUT_S_MAX = 45.0
"""The answer must be there before the 50 s that a call may take are over; see `task.WAIT_S_MAX`."""

TASK_TIMEOUT_S_MIN = 1
"""Of a task's overall deadline; the longest is `task.TIMEOUT_S_MAX`."""

CURSOR_CHARS_MAX = 1000
"""The longest one holds a room's name and an endpoint id."""
