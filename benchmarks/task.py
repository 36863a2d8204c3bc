"""What runs, and how much of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    rounds: int = 3
    durable_runs: int = 6_000
    dbos_runs: int = 300
    starts: int = 10_000
    samples: int = 300
    queue_samples: int = 15
    stateless_runs: int = 5_000
    waiting: tuple[int, ...] = (10_000, 1_000_000)
    pairs: int = 7
    crashes: int = 5
    imports: int = 9
    at_once: tuple[int, ...] = (100, 200, 500, 1000)
    jobs: int = 6_000
    slow_jobs: int = 1_500
    peer_samples: int = 100
    drained: int = 12_000
    idle_seconds: float = 20.0
    children: int = 1_000
    many_children: int = 10_000
    batch: int = 100_000
    keys: int = 1_000
    behind: int = 100_000
    fair_burst: int = 3_000


QUICK = Scale(
    rounds=1,
    durable_runs=1_500,
    dbos_runs=60,
    starts=2_000,
    samples=50,
    queue_samples=3,
    stateless_runs=1_000,
    waiting=(10_000, 100_000),
    pairs=3,
    crashes=2,
    imports=3,
    jobs=1_000,
    slow_jobs=300,
    peer_samples=20,
    drained=2_000,
    idle_seconds=5.0,
    children=300,
    many_children=2_000,
    batch=10_000,
    behind=10_000,
    fair_burst=1_000,
)

Interpreter = Literal["own", "peers"]
"""Peers have an environment of their own where make has made one: they pin versions that we don't want."""


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL database that a task finds as its argument `url`: an empty one of its own, unless it has a name."""

    shared: str = ""
    """Tasks that give the same name take turns on one database."""
    logged: bool = False
    """The task finds the file with the server's log as its argument `log`."""


@dataclass(frozen=True, slots=True)
class Task:
    """One child process. Answers of the same key are samples of the same figures."""

    key: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 120.0
    interpreter: Interpreter = "own"
    database: Database | None = None
    queue: bool = False
    """It finds an empty Valkey as its argument `queue_url`."""
