"""Transports results: small ones are sent within a request, large ones are fetched."""

import hashlib
from collections.abc import Sequence

from buddies_core.errors import InvalidInput
from buddies_core.model.task import OUTPUT_BYTES_MAX, TaskFailed, TaskResult, TaskSucceeded
from buddies_core.pb.peer_pb2 import OutputPart, PeerReply, SubmitResult
from buddies_core.tasks.lifecycle import result_text

INLINE_BYTES_MAX = 64 << 10
PART_BYTES = 128 << 10
"""The size of the part of an output in one frame, which has at most 256 KiB."""


def result_of(success: bool, output: str) -> TaskResult:
    """Return the result that an agent submits.

    Raises:
        InvalidInput: it is too large.
    """
    size = len(output.encode())
    if size > OUTPUT_BYTES_MAX:
        raise InvalidInput(
            f"output has {size} bytes, at most {OUTPUT_BYTES_MAX} are allowed; submit a summary, "
            "and store what is longer as memories or in the repository"
        )
    return TaskSucceeded(output) if success else TaskFailed(output)


def inline_output(result: TaskResult) -> tuple[str, int, bytes]:
    """Return the text as a request carries it, empty if it is too long; its size and SHA-256."""
    content = result_text(result).encode()
    text = content.decode() if len(content) <= INLINE_BYTES_MAX else ""
    return text, len(content), hashlib.sha256(content).digest()


def output_parts(result: TaskResult) -> list[PeerReply]:
    """Return the frames that bring a result's text to its requester."""
    content = result_text(result).encode()
    return [
        PeerReply(output_part=OutputPart(content=content[start : start + PART_BYTES]))
        for start in range(0, max(1, len(content)), PART_BYTES)
    ]


def is_complete(submit: SubmitResult) -> bool:
    """Whether all of the text is in the request."""
    return len(submit.output.encode()) == submit.size


def fetched_text(submit: SubmitResult, replies: Sequence[PeerReply]) -> str:
    """Return the text that was fetched.

    Raises:
        InvalidInput: it is not the text that was announced.
    """
    content = b"".join(reply.output_part.content for reply in replies)
    if len(content) != submit.size or hashlib.sha256(content).digest() != submit.sha256:
        raise InvalidInput("the output is not the one that was announced")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the output is not UTF-8") from None
