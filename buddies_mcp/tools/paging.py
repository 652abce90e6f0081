"""The arguments of tools whose answers come in pages, and of those that search."""

from typing import Any

from buddies_core.model.limits import (
    CURSOR_CHARS_MAX,
    LIST_ITEMS_DEFAULT,
    LIST_ITEMS_MAX,
    OFFSET_MAX,
    PAGE_CHARS_DEFAULT,
    PAGE_CHARS_MAX,
    SEARCH_TIMEOUT_S_DEFAULT,
    SEARCH_TIMEOUT_S_MAX,
    SEARCH_TIMEOUT_S_MIN,
)

CURSOR: dict[str, Any] = {
    "type": "string",
    "maxLength": CURSOR_CHARS_MAX,
    "default": "",
    "description": "next_cursor of the answer before",
}
LIMIT: dict[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": LIST_ITEMS_MAX,
    "default": LIST_ITEMS_DEFAULT,
}
OFFSET: dict[str, Any] = {
    "type": "integer",
    "minimum": 0,
    "maximum": OFFSET_MAX,
    "default": 0,
}
PAGE_LIMIT: dict[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": PAGE_CHARS_MAX,
    "default": PAGE_CHARS_DEFAULT,
}
SEARCH_TIMEOUT: dict[str, Any] = {
    "type": "number",
    "minimum": SEARCH_TIMEOUT_S_MIN,
    "maximum": SEARCH_TIMEOUT_S_MAX,
    "default": SEARCH_TIMEOUT_S_DEFAULT,
    "description": "Seconds to wait for peers",
}
