"""Finds a ticket or an id in pasted text with quotes, a label, line breaks or a whole mail."""

import json
import re
import string
from base64 import b32decode, b32encode

from buddies_core.model.unseen import without_unseen

_BEGINNING = b32encode(b'{"roo').decode().lower()
"""The beginning of every ticket that buddies or 0.1.4 writes."""
_TICKET = re.compile(rf"(?<![a-z0-9]){_BEGINNING}[a-z0-9\s]*", re.ASCII | re.IGNORECASE)
_BASE32 = re.compile(r"[a-z2-7]*", re.ASCII | re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_QUOTE_MARKS = re.compile(r"^(?:[ \t]*[>|│])+", re.MULTILINE)
# The backslash of a shell, or the equals sign of quoted-printable in a mail.
_CONTINUED = re.compile(r"[\\=][ \t]*$", re.MULTILINE)
_ESCAPED_WHITE_SPACE = re.compile(r"\\+[nrt]")
_AROUND = "\"'`<>()[]{}.,;:!?=*_~“”„‘’«»"  # noqa: RUF001 - the marks that mail programs make


def ticket_in(text: str) -> str:
    """Return the ticket in a text, without anything around it or inserted into it.

    If nothing in the text begins like a ticket, return the text itself, without white space and
    without punctuation around it.
    """
    text = without_unseen(_COLOURS.sub("", text))
    text = _CONTINUED.sub("", _QUOTE_MARKS.sub("", text.replace("\r\n", "\n")))
    text = " ".join(_ESCAPED_WHITE_SPACE.sub(" ", text).split())
    if found := _TICKET.search(text):
        return _without_words_after(found[0].split())
    return bare(text.replace(" ", ""))


def bare(text: str) -> str:
    """Return an id or the like without the punctuation and the white space around it."""
    return without_unseen(text).strip(_AROUND + string.whitespace)


def _without_words_after(words: list[str]) -> str:
    """Return the words joined, up to the word that ends where the JSON does."""
    whole = "".join(words)
    found = _BASE32.match(whole)
    letters = found[0] if found else ""
    # Padded with zero bits, which come after the end of the JSON or where it is cut off.
    data = b32decode(letters + "A" * (-len(letters) % 8), casefold=True)
    try:
        _, end = json.JSONDecoder().raw_decode(readable := data.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return whole
    ticket_bytes = len(readable[:end].encode(errors="surrogateescape"))
    ticket_chars = -(-ticket_bytes * 8 // 5)
    so_far = ""
    for word in words:
        so_far += word
        if len(so_far) == ticket_chars:
            return so_far
    return whole
