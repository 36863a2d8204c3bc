"""Deaths of workers, and which of the runs that died with them are to blame (rules 32, 48)."""

from __future__ import annotations

from itertools import count
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.suspicion import MANY, Charge, Executed, Suspicion, charges, suspicion_of


class Fleet:
    """Runs that are executed by processes which die of culprits, and of nothing else."""

    def __init__(self, runs: int, culprits: set[str]) -> None:
        self.suspected: dict[str, str | None] = {f"r{n:03}": None for n in range(runs)}
        self.culprits = culprits
        self.alone = dict.fromkeys(self.suspected, 0)
        self.deaths = 0
        self._groups = count()

    def execute(self, ids: list[str]) -> bool:
        """True if the process lived, and all of them came to a checkpoint."""
        if not self.culprits & set(ids):
            for run_id in ids:
                del self.suspected[run_id]
            return True
        self.deaths += 1
        for charge in charges([Executed(one, self.suspected[one]) for one in ids], lambda: f"g{next(self._groups)}"):
            for run_id in charge.ids:
                self.suspected[run_id] = charge.suspicion
                self.alone[run_id] += charge.counts
        return False

    @property
    def groups(self) -> dict[str | None, list[str]]:
        found: dict[str | None, list[str]] = {}
        for run_id, suspicion in self.suspected.items():
            found.setdefault(suspicion, []).append(run_id)
        return found


@given(st.integers(1, 200), st.data())
def test_one_culprit_is_alone_after_at_most_log2_and_one_deaths(runs: int, data: st.DataObject) -> None:
    culprit = f"r{data.draw(st.integers(0, runs - 1)):03}"
    fleet = Fleet(runs, {culprit})
    while not fleet.alone[culprit]:
        group = next(ids for ids in fleet.groups.values() if culprit in ids)
        fleet.execute(group)
    assert fleet.deaths <= ceil(log2(runs)) + 1
    assert sum(fleet.alone.values()) == 1


@given(st.integers(1, 60), st.data())
def test_innocents_end_and_are_never_charged_however_many_culprits_there_are(runs: int, data: st.DataObject) -> None:
    culprits = {f"r{n:03}" for n in data.draw(st.sets(st.integers(0, runs - 1), min_size=1, max_size=5))}
    fleet = Fleet(runs, culprits)
    while min(fleet.alone[one] for one in culprits) < 3:
        # Groups mix where a process could not wait, and parts of groups go to several processes.
        groups = [ids for ids in fleet.groups.values() if any(fleet.alone[one] < 3 for one in ids)]
        first = data.draw(st.sampled_from(groups))
        more = data.draw(st.sampled_from([*groups, []])) if fleet.deaths < 12 else []
        fleet.execute(sorted({*first, *more}))
    assert all(not fleet.alone[one] for one in fleet.alone if one not in culprits)


def test_only_a_death_alone_counts() -> None:
    assert charges([Executed("a", None)], lambda: "g") == [Charge(("a",), "1:g", True)]
    assert [charge.counts for charge in charges([Executed("a", "3:x"), Executed("b", None)], lambda: "g")] == [
        False,
        False,
    ]


def test_a_run_that_is_never_alone_is_charged_after_more_deaths_than_halving_needs() -> None:
    suspicion: str | None = None
    groups = count()
    counted = 0
    for _ in range(MANY + 3):  # each time with another run, which it starts or which began beside it
        mine, fresh = charges([Executed("a", suspicion), Executed("b", None)], lambda: f"g{next(groups)}")
        assert (mine.ids, fresh.ids, fresh.counts) == (("a",), ("b",), False)
        suspicion, counted = mine.suspicion, counted + mine.counts
    assert counted == 3


def test_those_that_were_suspected_together_are_halved_and_kept_apart_from_others() -> None:
    groups = iter("ghij")
    executed = [Executed("a", "1:x"), Executed("b", "1:x"), Executed("c", "1:x"), Executed("d", None)]
    found = charges(executed, lambda: next(groups))
    assert [(charge.ids, charge.suspicion) for charge in found] == [
        (("a", "b"), "2:g"),
        (("c",), "2:h"),
        (("d",), "1:i"),
    ]


def test_a_known_reason_outlives_further_deaths() -> None:
    text = str(Suspicion(1, "g", "Crawl.fetch blocked the event loop"))
    assert suspicion_of(text) == (1, "g", "Crawl.fetch blocked the event loop")
    assert charges([Executed("a", text)], lambda: "h")[0].suspicion == "2:h Crawl.fetch blocked the event loop"


def test_a_text_that_nobody_wrote_like_that_is_a_suspicion_all_the_same() -> None:
    assert suspicion_of("odd").deaths == 1
