"""Trees of tokens on both databases: making one while its maker is revoked, limits among processes, migrated rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from backends import Database
from stepwell import Stepwell
from stepwell.console.reading.tokens import StoredTokens
from stepwell.errors import NotSignedIn, TooManyTokens
from stepwell.store import tokens
from stepwell.store.tokens import TokenRow, TokenUser

StepwellOn = Callable[..., Stepwell]

HELD = "SELECT id FROM stepwell_tokens WHERE id=$1 AND revoked_at IS NULL FOR NO KEY UPDATE"
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


def token(token_id: str, maker: str | None = None, user_id: str = "ann", **more: Any) -> TokenRow:
    row = TokenRow(token_id, "t", user_id, "operator", 0, None, f"digest of {token_id}", "sw_", user_id, 1)
    return row._replace(created_with=maker, created_via="token" if maker else "application", **more)


async def valid(store: StoredTokens) -> set[str]:
    return {row.id for row in await store.newest(None, None, 1000) if row.valid(2)}


async def test_what_is_made_while_its_maker_is_revoked_is_revoked_or_refused(stepwell_on: StepwellOn) -> None:
    """Two processes: whichever is first, nothing that the revoked one made stays valid."""
    async with stepwell_on([]) as one, stepwell_on([]) as other:
        here, there = StoredTokens(one.opening), StoredTokens(other.opening)
        for number in range(20):
            root = token(f"{number}-0")
            await here.add(root, None, None)
            await here.add(token(f"{number}-1", root.id), None, None)
            await here.add(token(f"{number}-2", f"{number}-1"), None, None)
            makers = [root.id, f"{number}-1", f"{number}-2"]
            children = [token(f"{number}-{maker}-{one}", maker) for maker in makers for one in range(5)]
            told = await asyncio.gather(
                *(there.add(child, None, 100) for child in children[:8]),
                here.revoke(root.id, 2),
                *(there.add(child, None, 100) for child in children[8:]),
                return_exceptions=True,
            )
            assert {type(one) for one in told} <= {type(None), NotSignedIn, list}, told
            assert await valid(here) == set()
            for child in children:
                with pytest.raises(NotSignedIn):
                    await there.add(child._replace(id=child.id + "b", digest=child.id), None, 100)


@pytest.mark.parametrize("backend", ["postgres"])  # SQLite has one writer
async def test_a_revocation_waits_for_what_is_being_made_and_takes_it_along(
    stepwell_on: StepwellOn, database: Database
) -> None:
    """The maker's transaction is open and has written when the revocation begins."""
    async with stepwell_on([]) as stepwell:
        here = StoredTokens(stepwell.opening)
        await here.add(token("root"), None, None)
        await here.add(token("middle", "root"), None, None)
        connection = await asyncpg.connect(database.url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(HELD, "middle")
        leaf = token("leaf", "middle")
        places = ", ".join(f"${number + 1}" for number in range(len(leaf)))
        await connection.execute(f"INSERT INTO stepwell_tokens VALUES ({places})", *leaf)
        revoked = asyncio.create_task(here.revoke("root", 2))
        async with asyncio.timeout(60):
            while not await connection.fetchval(WAITS):
                await asyncio.sleep(0.005)
        assert not revoked.done()
        await transaction.commit()
        await connection.close()
        async with asyncio.timeout(60):
            assert {row.id for row in await revoked} == {"root", "middle", "leaf"}
        assert await valid(here) == set()


async def test_two_processes_that_make_200_tokens_at_once_make_no_more_than_the_limit(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([]) as one, stepwell_on([]) as other:
        stores = [StoredTokens(one.opening), StoredTokens(other.opening)]
        wanted = [stores[number % 2].add(token(str(number)), None, 9) for number in range(200)]
        told = await asyncio.gather(*wanted, return_exceptions=True)
        assert sum(one is None for one in told) == 9, told
        assert all(one is None or isinstance(one, TooManyTokens) for one in told)
        assert len(await valid(stores[0])) == 9


async def test_what_revocation_returns_is_what_was_valid_before_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([]) as stepwell:
        store = StoredTokens(stepwell.opening)
        for one in (token("a"), token("b", "a"), token("c", "b"), token("d", "b", revoked_at=1), token("e", "d")):
            await store.add(one, None, None) if one.id != "e" else None
        assert await store.descendants([token("a"), token("b"), token("c")], 2) == {"a": 2, "b": 1}
        revoked = await store.revoke("b", 2)
        assert {(row.id, row.revoked_at) for row in revoked} == {("b", 2), ("c", 2)}
        assert await store.revoke("b", 3) == []
        assert await store.descendants([token("a")], 2) == {}
        assert await valid(store) == {"a"}


async def test_rights_are_noted_for_users_who_have_made_tokens_only(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([]) as stepwell:
        store = StoredTokens(stepwell.opening)
        await store.note_rights(TokenUser("bob", "viewer"))
        await store.add(token("a"), TokenUser("ann", "admin", 1), 5)
        await store.note_rights(TokenUser("ann", "viewer", 0, '["shop"]'))
        rows: Any = await stepwell.opening.core.store.read(lambda tx: tokens.rights_of(tx, ["ann", "bob"]))
        assert rows == {"ann": TokenUser("ann", "viewer", 0, '["shop"]')}
        [row] = await store.newest("ann", None, 5)
        assert (row.role, row.apps) == ("viewer", '["shop"]')
