"""A scenario: load, one fault after another until enough was accepted, peace, and the count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random

from acceptance.audit import Audit
from acceptance.blows import Blow, Strike
from acceptance.load import accepted, spread
from acceptance.scene import ROLES, Scene
from acceptance.seed import seed

FEW = 4
"""Faults that happen at least; each kind of them once."""
APART = 125
"""Runs that are accepted from one fault to the next."""
INEXACT = 0.1
"""Seconds by which clocks may differ although each follows the server's."""


def endure(scene: Scene, strikes: Sequence[Strike], runs: int, say: Callable[[str], object]) -> None:
    """The scenario was played, nothing was lost and nothing doubled, and take-overs came within two leases.

    Where the server is away too, no heart beats: who can't write its own heartbeat judges nobody (rule 31).
    """
    number = seed()
    say(f"\nSTEPWELL_TEST_SEED={number} STEPWELL_TEST_RUNS={runs}\n")
    happened = _play(scene, strikes, runs, Random(number))
    result = _report(scene, happened)
    say(result.table() + "\n")
    assert not result.broken, f"seed {number}: {result.broken}\n{scene.load.logs()}"
    scene.load.check_takeovers()


def _play(scene: Scene, strikes: Sequence[Strike], runs: int, chance: Random) -> dict[str, int]:
    """How often each fault has happened while so many runs were accepted. Everything has ended."""
    happened = {strike.__name__: 0 for strike in strikes}
    faults = max(FEW, len(strikes), runs // APART)
    for role in ROLES:
        scene.load.start(role)
    for number, strike in enumerate(islice(_in_rounds(strikes, chance), faults)):
        blow = Blow.drawn(chance)
        _accept(scene, round((number + 0.2 + 0.8 * blow.gap) * runs / faults))
        strike(scene, blow)
        happened[strike.__name__] += 1
    _accept(scene, runs)
    scene.load.finish()
    return happened


def _accept(scene: Scene, runs: int) -> None:
    scene.load.wait(lambda: accepted() >= runs, f"{runs} runs are accepted")


def _in_rounds(strikes: Sequence[Strike], chance: Random) -> Iterator[Strike]:
    """Without end: each of them, in an order by chance, and again."""
    while True:
        yield from chance.sample(strikes, len(strikes))


def _report(scene: Scene, happened: Mapping[str, int]) -> Audit:
    """The count, with the faults that happened."""
    result = scene.load.count(inexact=INEXACT, excused=scene.excused)
    faults = {f"faults: {name}": count for name, count in happened.items()}
    again = spread("seconds until work went on", scene.resumes) if scene.resumes else {}
    result.figures = {**faults, **result.figures, **again}
    return result
