"""What `make test` leaves to `make test-all`: it is marked `thorough`. What a change needs runs in a few minutes.

Rules are tested on SQLite; those in whose SQL or connections the databases differ are tested on PostgreSQL by `make test`,
too. A queue beside the database, a pooler before it and a schema of an odd name have files of their own; that all the rest
is the same on these is for `make test-all`. Where a file starts, kills and outlives processes, servers and browsers for
minutes, `make test` takes one test or two of it, which show that the thing works at all. Further tests are marked in their
files, by `pytest.mark.thorough`.
"""

from __future__ import annotations

from typing import Any

import pytest

FURTHER = {"bullmq", "pooled", "schema"}
"""Backends on which tests run again that run on SQLite and PostgreSQL already."""

ON_BOTH = {
    "conformance": {
        "test_callers_transaction",
        "test_django_callers",
        "test_journal_retention",
        "test_opening",
        "test_restored",
        "test_signals",
        "test_starting",
        "test_synchronous_callers",
        "test_transaction_outcomes",
        "test_transactions",
        "test_two_processes",
        "test_unstorable",
        "test_workers",
    },
    "triggers": {"test_firing"},
}
"""Where PostgreSQL is for `make test`, too: tests/store as a whole, and these files of other folders."""

SAMPLES = {
    "acceptance/test_draining": {"test_a_transition_is_finished_in_the_time_of_grace"},
    "acceptance/test_suspicion": set(),
    "cli/test_asking": {"test_a_signal_without_a_payload_asks_for_it", "test_documents_are_shown_as_they_come"},
    "cli/test_children": {"test_what_the_runs_below_ask_is_asked"},
    "cli/test_dev": {"test_dev_serves_executes_and_stops"},
    "cli/test_remote": {"test_workflows_are_listed", "test_a_token_opens_what_it_may"},
    "cli/test_worker": {"test_workers_take_only_what_they_are_told_to"},
    "cli/test_worker_processes": {"test_each_process_is_a_worker_and_takes_what_it_is_told_to"},
    "examples/test_orders_app": {"test_an_order_ends_with_one_receipt"},
    "examples/test_orders_crash": set(),
    "examples/test_orders_demo": set(),
    "examples/test_orders_time": set(),
    "queue/test_bullmq_losses": {"test_redis_dies_and_comes_back_empty"},
    "queue/test_bullmq_node": set(),
    "queue/test_bullmq_queue": {
        "test_all_that_is_in_redis_has_the_prefix",
        "test_runs_started_here_are_executed_there",
        "test_second_late_and_foreign_doorbells_change_nothing",
        "test_signals_timers_retries_and_children_go_through_the_queue",
    },
    "servers/test_private_folder": set(),
    "servers/test_servers": {
        "test_a_database_that_was_used_is_given_to_the_next_as_it_was",
        "test_settings_are_the_servers",
    },
    "store/test_postgres_pooler": {"test_what_one_process_does_is_seen_by_another"},
    "studio/test_inbox": {"test_a_question_is_answered_and_the_next_one_comes"},
    "studio/test_journeys": {"test_a_run_is_started_by_its_form_watched_and_answered"},
    "studio/test_operations": set(),
    "studio/test_start": {"test_a_run_is_started_again_with_its_args"},
    "studio/test_unit": set(),
    "testing/test_crash_everywhere": {
        "test_each_commit_is_tried_from_both_sides",
        "test_a_run_that_ends_otherwise_says_what_was_expected",
        "test_transactions_survive",
    },
    "triggers/test_processes": set(),
}
"""Files that take long for what they start, and the tests of them that are for `make test`."""

LONG = {
    "cli/test_beginning": {"test_a_run_begins_later"},
    "cli/test_commands": {"test_the_console_script_says_by_its_exit_code_how_a_run_ended"},
    "cli/test_tokens": {"test_a_server_that_takes_no_tokens_says_so"},
    "conformance/test_calling": {"test_fault_11_code_that_swallows_the_cancellation_is_stopped_again"},
    "conformance/test_large_inboxes": {"test_a_claim_reads_little_however_much_is_kept"},
    "http/test_stream": {"test_who_does_not_read_is_cut_off"},
    "store/test_feed": {"test_every_row_once_and_those_of_a_run_in_order_wherever_one_halts"},
    "store/test_migrations": {"test_any_number_of_processes_may_migrate_at_once"},
    "store/test_postgres_connections": {"test_there_are_never_more_connections_than_the_settings_say"},
}
"""Tests of other files that take so long that they are left to `make test-all`."""


def mark(item: pytest.Item) -> None:
    """Mark a test as thorough if it isn't for `make test`."""
    folder, module = item.path.parent.name, item.path.stem
    backend = backend_of(item)
    further = backend in FURTHER or (
        backend == "postgres" and folder != "store" and module not in ON_BOTH.get(folder, ())
    )
    file, name = f"{folder}/{module}", name_of(item)
    if further or name not in SAMPLES.get(file, {name}) or name in LONG.get(file, ()):
        item.add_marker(pytest.mark.thorough)


def name_of(item: pytest.Item) -> str:
    """The test's name without its parameters."""
    return item.originalname if isinstance(item, pytest.Function) else item.name


def backend_of(item: pytest.Item) -> Any:
    """The parameter `backend` of a test; None if it has none."""
    return (
        item.callspec.params.get("backend") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
