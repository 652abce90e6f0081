"""Whole daemons with different embedding models."""

from pathlib import Path

from buddies_core.client import DaemonClient
from buddies_core.model.views import SearchResult
from tests.support.exports import minilm_export, write_json
from tests.support.memories import DEMO
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import a_whole_daemon

TABLE = "We're using PostgreSQL for the user table"
CAKE = "Whisk the eggs with sugar until they are pale"


def another_model(directory: Path) -> Path:
    """Return an export that is told apart from MiniLM, and makes the same of a short text."""
    write_json(minilm_export(directory) / "sentence_bert_config.json", {"max_seq_length": 128})
    return directory


async def heard(client: DaemonClient, question: str, by: str) -> SearchResult:
    """Return what a question finds as soon as this member has answered it."""

    def has_answered(result: SearchResult) -> bool:
        return by in {peer.name for peer in result.answered}

    result: SearchResult = await eventually(
        lambda: client.search_memory(question, timeout_s=10), has_answered
    )
    return result


async def finds_all(client: DaemonClient, memories: int) -> None:
    """Wait until so many memories are there and found by words and by meaning."""
    await eventually(
        client.status,
        # Meanings may come before words, which wait a moment for more.
        lambda it: (
            it.index.startswith(f"{memories} memories, 0 waiting")
            and "not yet found by meaning" not in it.index
        ),
    )


async def test_members_with_different_models_find_each_others_memories_by_meaning() -> None:
    with some_person() as one, some_person() as other:
        model = another_model(other.home / "model")
        environ = {**other.environ, "BUDDIES_USER": "bob", "BUDDIES_MODEL": str(model)}
        async with (
            a_whole_daemon(one.home, one.environ) as alice,
            a_whole_daemon(other.home, environ) as bob,
        ):
            joined = await alice.client.join_room(DEMO)
            await bob.client.join_room(DEMO, joined.ticket)
            await alice.client.store_memory(room=DEMO, content=TABLE)
            await bob.client.store_memory(room=DEMO, content=CAKE)
            for daemon in (alice, bob):
                await finds_all(daemon.client, 2)

            for client, member, question, answer in (
                (alice.client, "bob", "how is a dessert prepared?", CAKE),
                (bob.client, "alice", "where does the relational data live?", TABLE),
            ):
                result = await heard(client, question, member)
                assert result.results[0].content == answer
                assert (result.method, result.notes) == ("hybrid", ())
            assert str((await bob.client.status()).model).endswith(f"ready: {model}")


async def test_after_a_change_of_the_model_everything_is_found_by_meaning_again() -> None:
    with some_person() as owner:
        model = another_model(owner.home / "model")
        for environ in ({}, {"BUDDIES_MODEL": str(model)}, {}):
            async with a_whole_daemon(owner.home, {**owner.environ, **environ}) as alice:
                if not environ and not (await alice.client.list_memories()).results:
                    await alice.client.join_room(DEMO)
                    await alice.client.store_memory(room=DEMO, content=TABLE)
                await finds_all(alice.client, 1)
                found = await alice.client.search_memory("where does the relational data live?")
                assert [it.content for it in found.results] == [TABLE]
