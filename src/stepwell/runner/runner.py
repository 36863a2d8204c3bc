"""The runner: the verbs, for asynchronous and for synchronous code.

Each class has the verbs of one kind, and is the base of the next: `Reader` (query.py: looking at runs), `Pausing`,
`Steering` (signal, emit, cancel, retry), `Starting`, `Batching`, and here `WorkflowRunner`, which has them all.
"""

from __future__ import annotations

from stepwell.runner.arguments import check_user
from stepwell.runner.batching import Batching
from stepwell.runner.blocking import BlockingRunner


class WorkflowRunner(Batching):
    """Starts, resumes, steers and reads runs. Made by `Stepwell`; `as_user` gives the same verbs for one user only."""

    @property
    def blocking(self) -> BlockingRunner:
        """The same verbs for synchronous code; `with stepwell:` opens it in a thread of its own."""
        return BlockingRunner(self, self._opening)

    def as_user(self, user_id: str) -> WorkflowRunner:
        """Return the same verbs, restricted to this user's runs: for everything that comes from a request."""
        check_user(user_id)
        return WorkflowRunner(self._opening, self._only(user_id), self._asked_by)

    def asked_by(self, user_id: str) -> WorkflowRunner:
        """Return the same verbs for a request of this user: their reads have a share of the readers of this process.

        Raises TooManyReads from a read where too many of theirs wait for a reader already.
        """
        return WorkflowRunner(self._opening, self._user_id, user_id)
