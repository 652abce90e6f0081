"""Tell the stories of an internet in a box, and print what they measured: `make world`.

python -m tests.worlds.run [--quick] [--only TEXT]
"""

import argparse
import asyncio
import sys
import time

from tests.worlds.goals import GOALS, Figure, Verdict, verdict
from tests.worlds.namespaces import NoNamespaces, become_root_of_a_namespace, check_tun
from tests.worlds.stories import STORIES, Story

AT_ONCE = 3
"""Stories at the same time: most of them wait, and each has two laptops or more to start."""


async def _tell(story: Story, room: asyncio.Semaphore) -> list[Figure]:
    async with room:
        began_s = time.monotonic()
        try:
            figures = await story.play(story.name)
        except Exception as error:  # noqa: BLE001 - the other stories are told nevertheless
            print(f"{story.name}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
            figures = []
        print(f"  {story.name}: told in {time.monotonic() - began_s:.0f} s", file=sys.stderr)  # noqa: T201
    return figures


async def tell(stories: list[Story]) -> bool:
    """Tell them, print a line for each figure, and return whether all that is due was met."""
    room = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        told = {story.name: group.create_task(_tell(story, room)) for story in stories}
    lines: list[tuple[str, str, str, str, Verdict]] = []
    for name, task in told.items():
        figures = task.result()
        measured = {figure.what for figure in figures}
        for (story, what), goal in GOALS.items():
            if story == name and what not in measured:
                lines.append((name, what, "the story broke off", str(goal), Verdict.FAILED))
        for figure in figures:
            goal_text, became = verdict(figure)
            lines.append((name, figure.what, str(figure), goal_text, became))
    for story, what, value, goal_text, became in lines:
        print(f"{story:27} {what:34} {value:>15}  {goal_text:6} {became}")  # noqa: T201
    verdicts = [line[-1] for line in lines]
    counts = ", ".join(f"{verdicts.count(it)} {it}" for it in Verdict if it is not Verdict.NONE)
    print(f"make world: {len(told)} stories; goals: {counts}")  # noqa: T201
    return Verdict.FAILED not in verdicts


def main() -> int:
    """Return 0 if all that is due was met, or nothing can be told here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="only what takes about 3 minutes")
    parser.add_argument("--only", default="", help="only stories whose name has this in it")
    given = parser.parse_args()
    try:
        check_tun()
        become_root_of_a_namespace()
    except NoNamespaces as error:
        print(f"make world: SKIPPED, nothing was shown: {error}")  # noqa: T201
        return 0
    chosen = [it for it in STORIES if given.only in it.name and (it.quick or not given.quick)]
    return 0 if asyncio.run(tell(chosen)) else 1


if __name__ == "__main__":
    sys.exit(main())
