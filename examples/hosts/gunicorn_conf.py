"""gunicorn -c examples/hosts/gunicorn_conf.py examples.hosts.flask_shop:app, with --preload or without."""

from typing import Any

from examples.hosts.flask_shop import stepwell


def post_worker_init(worker: Any) -> None:
    """Open Stepwell in each worker process, after the fork."""
    stepwell.__enter__()


def worker_exit(server: Any, worker: Any) -> None:
    """Let the worker's transitions finish, and hand over its runs."""
    stepwell.__exit__()
