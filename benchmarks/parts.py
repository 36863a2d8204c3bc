"""The parts of the report, in their order."""

from __future__ import annotations

from benchmarks.many import plan as many_plan
from benchmarks.part import Part
from benchmarks.postgres import goals as postgres_goals
from benchmarks.postgres import plan as postgres_plan
from benchmarks.sqlite import goals as sqlite_goals
from benchmarks.sqlite import plan as sqlite_plan

SQLITE = Part(
    name="sqlite",
    title="One process on SQLite",
    introduction="""\
DBOS keeps SQLite's rollback journal, its default, and like Stepwell waits for the disk at each commit (`synchronous=2` is
FULL). Both are embedded in one process.""",
    modules=(
        *("sqlite.durable", "sqlite.ceiling", "peers.dbos_steps", "sqlite.pickup", "sqlite.starts", "sqlite.stateless"),
        *("sqlite.bare_loop", "sqlite.waiting", "sqlite.crash", "sqlite.import_time"),
        *many_plan.MODULES,
    ),
    tasks=sqlite_plan.tasks,
    rows=sqlite_goals.rows,
    ways=sqlite_plan.ways,
)
POSTGRES = Part(
    name="postgres",
    title="PostgreSQL",
    introduction="""\
One PostgreSQL on the same machine with its default settings, reached through 127.0.0.1; each measurement
has its own database, after a checkpoint of the server. If a system has several ways, the table shows the best one, in
brackets: for Stepwell the number of runs at once, `worker_concurrency`. A job of a queue is one no-op function: it
is compared with a run of one transition, which is stored, checkpointed and kept with its history.""",
    modules=(
        *(
            "postgres.durable",
            "postgres.ceiling",
            "peers.dbos_steps",
            "peers.langgraph_steps",
            "peers.procrastinate_jobs",
        ),
        *("peers.pgqueuer_jobs", "peers.bullmq_jobs", "postgres.starts", "postgres.pickup", "pickup_apart"),
        *("postgres.drain", "postgres.waiting", "postgres.idle"),
        *many_plan.MODULES,
    ),
    tasks=postgres_plan.tasks,
    rows=postgres_goals.rows,
    ways=postgres_plan.ways,
)
PARTS = (SQLITE, POSTGRES)
