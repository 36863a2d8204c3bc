"""`stepwell inbox`, `answer` and `assign`, on a database and on a server."""

from __future__ import annotations

from .conftest import Shell


def begun(stepwell: Shell) -> str:
    """The id of a run of u1's that asks ann and the group ops."""
    stepwell.env["STEPWELL_APP"] = "approvals:stepwell"
    return str(stepwell.json("run", "expense", "--user", "u1")["workflow_id"])


def test_who_is_asked_finds_the_question_and_answers_it(stepwell: Shell) -> None:
    run_id = begun(stepwell)
    listed = stepwell("inbox", "--user", "ann")
    assert listed.returncode == 0, listed.stderr
    for text in (run_id, "decide", "Approve?", "Taxi", "ann or group ops"):
        assert text in listed.stdout
    assert stepwell.json("inbox", "--user", "u1")["items"] == []
    assert len(stepwell.json("inbox", "--user", "bob", "--group", "ops")["items"]) == 1
    [question] = stepwell.json("inbox", "--run", run_id)["items"]
    assert stepwell.json("inbox", "--overdue")["items"] == []
    assert "--group needs --user" in stepwell("inbox", "--group", "ops").stderr
    assert "Say who answers" in stepwell("answer", run_id, "decide", "4").stderr
    for user in ("u1", "bob"):
        refused = stepwell("answer", run_id, "decide", "4", "--user", user)
        assert (refused.returncode, "No run" in refused.stderr) == (2, True)
    invalid = stepwell("answer", run_id, "decide", "many", "--user", "ann")
    assert (invalid.returncode, invalid.stdout) == (2, "")
    seen = str(question["visit"])
    given = ("decide", "4", "--user", "bob", "--group", "ops", "--visit", seen, "--key", "k")
    assert stepwell.json("answer", run_id, *given)["workflow_id"] == run_id
    assert stepwell("answer", run_id, *given).returncode == 0
    late = stepwell("answer", run_id, "decide", "--data", "5", "--user", "ann")
    assert (late.returncode, "by bob" in late.stderr) == (1, True)
    assert stepwell.json("inbox")["items"] == []


def test_a_question_is_assigned_to_another_user_or_group(stepwell: Shell) -> None:
    run_id = begun(stepwell)
    assert stepwell("assign", run_id, "decide").returncode == 2
    told = stepwell("assign", run_id, "decide", "--to", "bob")
    assert (told.returncode, told.stderr) == (0, "'Approve?' is asked of bob.\n")
    again = stepwell.json("assign", run_id, "decide", "--to-group", "sales", "--user", "eve")
    assert (again["assignee"], again["group"]) == (None, "sales")
    rows = [row["error"] for row in stepwell.json("runs", run_id)["history"]]
    assert rows[-2:] == ["assigned to user 'bob' by 'cli'", "assigned to group 'sales' by 'eve'"]
    assert stepwell("assign", run_id, "nothing", "--to", "bob").returncode == 2


def test_on_a_server_its_user_is_the_one_who_is_asked(afar: Shell) -> None:
    run_id = afar.json("run", "judge")["workflow_id"]
    shown = afar.json("inbox", "--run", run_id)
    assert {one["transition"] for one in shown["items"]} == {"opine", "remark", "decline"}
    assert len(afar.json("inbox", "--everybody", "--run", run_id)["items"]) == 3
    for refused in (("inbox", "--user", "ann"), ("answer", run_id, "opine", "--user", "ann", "--data", "1")):
        assert "a server knows its user" in afar(*refused).stderr
    unasked = afar("assign", run_id, "opine", "--to", "bob")
    assert (unasked.returncode, "without a question" in unasked.stderr) == (2, True)
    answered = afar.json("answer", run_id, "opine", "verdict=good", "stars=4")
    assert answered["workflow_id"] == run_id
    assert afar("answer", "../x", "opine", "verdict=good").returncode == 2


def test_an_answer_is_to_the_question_that_was_shown(afar: Shell) -> None:
    run_id = afar.json("run", "judge")["workflow_id"]
    typist = afar.typist("answer", run_id, "remark")
    typist.sees("Remark: ")
    [seen] = [one["visit"] for one in afar.json("inbox", "--run", run_id)["items"] if one["transition"] == "remark"]
    assert afar("answer", run_id, "remark", "first").returncode == 0

    def asked_again() -> bool:
        visits = {one["visit"] for one in afar.json("inbox", "--run", run_id)["items"]}
        return bool(visits) and seen not in visits

    afar.until(asked_again)
    typist.types("late")
    typist.sees("was answered")
    assert typist.ends() == 1
    [shown] = [line for line in afar("inbox", "--run", run_id).stdout.splitlines() if "remark" in line]
    assert str(seen) not in shown.split()
