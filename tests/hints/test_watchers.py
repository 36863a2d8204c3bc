"""What each watcher of the history gets, without a loop and without a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stepwell.hints import tail
from stepwell.hints.tail import StreamedEntry, Subscription, Watchers, parse, streamed
from stepwell.store.reading.feed import Horizon

SEEN, UNTIL = Horizon(1, 5), Horizon(5, 9, (6,))


def entry(seq: int, run: str = "r", user: str = "u", version: int = 1) -> Any:
    return SimpleNamespace(seq=seq, run=SimpleNamespace(id=run, user_id=user), row=SimpleNamespace(version=version))


def document(run: str, version: int) -> Any:
    return SimpleNamespace(run_id=run, version=version)


def handed(*entries: Any) -> list[StreamedEntry]:
    return [StreamedEntry(one, (), str(one.seq)) for one in entries]


def watcher(watchers: Watchers, wanted: Any = lambda _: True, **of: Any) -> Subscription:
    return watchers.add(Subscription(wanted, of.get("run_id"), of.get("user_id"), SEEN))


def got(one: Subscription) -> list[int]:
    return [seen.entry.seq for seen in one._waiting]


def test_only_the_last_entry_of_all_stands_at_the_new_horizon() -> None:
    found = [entry(3), entry(7)]
    whole = [one.at for one in streamed(SEEN, UNTIL, found, [], whole=True)]
    part = [one.at for one in streamed(SEEN, UNTIL, found, [], whole=False)]
    assert [parse(at) for at in whole] == [(SEEN, UNTIL, 3), (UNTIL, None, 0)]
    assert [parse(at) for at in part] == [(SEEN, UNTIL, 3), (SEEN, UNTIL, 7)]


def test_an_entry_has_the_documents_of_its_own_checkpoint() -> None:
    mine, other, later = document("r", 1), document("x", 1), document("r", 2)
    first, second = streamed(SEEN, UNTIL, [entry(1), entry(2, version=2)], [mine, other, later], whole=True)
    assert (first.documents, second.documents) == ((mine,), (later,))


def test_each_watcher_gets_its_own() -> None:
    watchers = Watchers()
    everything, of_run, of_user = (
        watcher(watchers),
        watcher(watchers, run_id="a"),
        watcher(watchers, user_id="anna"),
    )
    odd = watcher(watchers, lambda one: one.seq % 2)
    watchers.hand_over(handed(entry(1, "a", "bob"), entry(2, "b", "anna"), entry(3, "c", "anna")))
    assert [got(one) for one in (everything, of_run, of_user, odd)] == [[1, 2, 3], [1], [2, 3], [1, 3]]
    assert watchers.runs == {"a"}


def test_a_watcher_that_raises_is_cut_off_and_the_others_continue() -> None:
    def raises(_: object) -> bool:
        raise RuntimeError

    watchers = Watchers()
    bad, good = watcher(watchers, raises), watcher(watchers)
    watchers.hand_over(handed(entry(1)))
    assert (bad.cut_off, got(bad)) == (True, [])
    assert (good.cut_off, got(good)) == (False, [1])


def test_a_watcher_that_takes_nothing_is_cut_off_when_its_room_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_ROOM", 2)
    watchers = Watchers()
    slow = watcher(watchers)
    watchers.hand_over(handed(entry(1), entry(2)))
    assert got(slow) == [1, 2]
    watchers.hand_over(handed(entry(3)))
    assert (slow.cut_off, got(slow)) == (True, [])
    watchers.hand_over(handed(entry(4)))
    assert got(slow) == []


def test_who_is_disconnected_still_takes_what_was_handed_over() -> None:
    watchers = Watchers()
    one = watcher(watchers)
    watchers.hand_over(handed(entry(1)))
    watchers.moved(UNTIL)
    watchers.disconnect_all()
    assert (one.cut_off, got(one), one.at, len(watchers)) == (True, [1], UNTIL, 0)
