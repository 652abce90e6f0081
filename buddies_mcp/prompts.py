"""Prompts for frequent requests of users, which clients offer as commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import mcp_types as mcp
from mcp.shared.exceptions import MCPError

from buddies_core.model.room import ROOM_NAME_BYTES_MAX
from buddies_mcp.tools.tool import FROM_PEERS

ROOM = mcp.PromptArgument(
    name="room", title="Room", description="Name of a room that you are in", required=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt, and the words that the model gets. `{room}` in them stands for the room's name."""

    name: str
    title: str
    description: str
    text: str

    def listing(self) -> mcp.Prompt:
        """Return the prompt as `prompts/list` shows it."""
        return mcp.Prompt(
            name=self.name, title=self.title, description=self.description, arguments=[ROOM]
        )

    def get(self, given: Mapping[str, str]) -> mcp.GetPromptResult:
        """Return the prompt for a room.

        Raises:
            MCPError: the arguments are wrong; the text says how.
        """
        room = given.get(ROOM.name, "").strip()
        if not room or len(room.encode(errors="replace")) > ROOM_NAME_BYTES_MAX:
            text = f"{self.name} needs a room, of at most {ROOM_NAME_BYTES_MAX} bytes"
            raise MCPError(mcp.INVALID_PARAMS, text)
        if others := sorted(given.keys() - {ROOM.name}):
            text = f"{self.name} has no argument {others[0]!r}; it has {ROOM.name}"
            raise MCPError(mcp.INVALID_PARAMS, text)
        # In quotes that the name can't end.
        text = self.text.format(room=json.dumps(room, ensure_ascii=False))
        content = mcp.TextContent(type="text", text=f"{text} {FROM_PEERS}")
        return mcp.GetPromptResult(
            description=self.description,
            messages=[mcp.PromptMessage(role="user", content=content)],
        )


PROMPTS: Mapping[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="catch_up",
            title="Catch up with a room",
            description="Sum up the decisions, work and requests of the team's agents in a room.",
            text=(
                "Tell me what is new in the room {room} of buddies. Call get_room_status to see who"
                " is there and what they are doing, list_memories with since=7d for what was stored"
                " (get_memory reads a whole one where its beginning is not enough), and list_tasks"
                " for what waits. Sum up in this order: decisions and their reasons, work in"
                " progress and by whom, open tasks and questions, what concerns our own work. Name"
                " who said what and when. Change nothing."
            ),
        ),
        Prompt(
            name="hand_over",
            title="Hand over your work",
            description="Store everything that another agent needs to continue this work.",
            text=(
                "Hand this work over to the other agents of the room {room} of buddies. Write one"
                " memory that can be understood alone: the goal, what is done, what is not, what"
                " was tried and did not work, the files and commands that matter, the next step."
                " Leave out secrets. Show it to me, and once I agree, store it with store_memory"
                " (kind=status), and say in a sentence with notify_peers that it is there. If"
                " another agent can do the next step alone, offer to hand it out with"
                " delegate_task."
            ),
        ),
        Prompt(
            name="share_decision",
            title="Share a decision",
            description="Store in a room a decision of this conversation, with its reasons.",
            text=(
                "Share the decision that we have just made with the room {room} of buddies. First"
                " call search_memory for what was decided about it before; if something contradicts"
                " it, tell me who said so and when. Write the decision, its reasons, what was"
                " rejected and why, and what follows for others, so that it can be understood"
                " alone. Leave out secrets. Show it to me, and once I agree, store it with"
                " store_memory (kind=decision), with the ids of older memories that it builds on"
                " as references."
            ),
        ),
    )
}


def named(name: str) -> Prompt:
    """Return the prompt of this name.

    Raises:
        MCPError: there is none.
    """
    if name not in PROMPTS:
        text = f"there is no prompt {name!r}; there are {', '.join(PROMPTS)}"
        raise MCPError(mcp.INVALID_PARAMS, text)
    return PROMPTS[name]
