"""Long queues behind one limit: their heads, for which another limit has no room, keep no others back (rule 54)."""

from __future__ import annotations

from stepwell.definition.authoring.workflow import definition_of
from stepwell.definition.model import Rule
from stepwell.engine.control import Request, begin
from stepwell.engine.gates import Gate, gate_of, gates_json
from stepwell.store.base import Store
from store.test_gates import Job, Life

SHARED = gate_of(Rule("executing", 0, 5), "shop", "job", None, "u1")
_HOUR = 3_600_000_000


def rate(key: str) -> Gate:
    return gate_of(Rule("rate", 0, 10, per=_HOUR), "shop", "job", key, "u1")


async def start_many(life: Life, count: int, *gates: Gate) -> list[str]:
    ids = [f"r{life.made + n + 1:05}" for n in range(count)]
    life.made += count
    life.now += 1
    text = gates_json([*life.gates, *gates])
    requests = [Request(run_id, "shop", "u1", "w", "null", "{}", gates=text) for run_id in ids]
    commits = [begin(definition_of(Job), request, life.now) for request in requests]
    await life.write(lambda tx: life.applier.create(tx, commits))
    return ids


async def test_a_slot_goes_to_the_first_for_which_all_limits_have_room(store: Store) -> None:
    life = Life(store, SHARED)
    many = await start_many(life, 1_200, rate("b"))
    [other] = await start_many(life, 1, rate("c"))
    for _ in range(2):
        began = await life.claim(10)
        assert began
        assert set(began) <= set(many)
        for run_id in began:
            await life.end(run_id)
    assert await life.claim(10) == [other], "no clock has moved, and no duty has looked"
    held = [run for run in (await life.rows()).values() if run.held_by is not None]
    assert len(held) == 1_190
    assert {run.held_by for run in held} == {rate("b").id}
