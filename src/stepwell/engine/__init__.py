"""The rules of the product, as pure synchronous functions.

    control.begin (definition, request, now)                       -> Commit
    choose.decide (definition, run, inbox, verdicts, now, rules)   -> AskGuards | Execute | Move | Park | Fail | Unfit
    settle.settle (definition, run, decision, outcome, inbox, now) -> Commit

`signals.accept`, and `cancel`, `retry`, `set_aside` and `worn_out` in `control`, say what signals, people and dead
workers make of a run. No `await`, no clock, no id generator, no logger, no environment: moments are whole microseconds
since 1970 UTC and come in as arguments.

A few rules stand in SQL too, because thousands of rows are changed by one statement. Each has its twin here, and
`tests/store/test_sql_rules.py` holds on every database that both say the same:

    run.claimed            runs.claim, runs.claim_ids (in `store`)
    run.signalled          runs.wake
    run.ripened            runs.ripen
    run.freed              workers.take_over, workers.release
    PauseRow.covers        pauses.paused_sql
    run.unless_signalled   the update of checkpoints on PostgreSQL; SQLite calls it (rule 3a)
    signals.is_void        the search for signals that become void

Each module's docstring states the rules that it holds. "Rule 11" is rule 11 of docs/rules.md, "fault 7" is fault 7 of
docs/architecture.md. A rule changes there, here and in tests/engine, in one commit. This room may import `errors` and
`definition`.
"""
