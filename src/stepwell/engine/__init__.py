"""The rules of the product, as pure synchronous functions.

    begin (definition, request, now)                       -> Commit
    decide(definition, run, inbox, verdicts, now, rules)   -> Ask | Execute | Move | Park | Fail | Unfit
    settle(definition, run, decision, outcome, inbox, now) -> Commit

`accept`, `cancel`, `retry`, `set_aside` and `worn_out` say what signals, people and dead workers make of a run. No `await`,
no clock, no id generator, no logger, no environment: moments are whole microseconds since 1970 UTC and come in as
arguments. This room may import `errors` and `definition`.
"""
