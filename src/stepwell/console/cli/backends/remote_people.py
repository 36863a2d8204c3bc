"""The questions behind the HTTP API of a server."""

from __future__ import annotations

from typing import Any

from stepwell.console.cli.backends.answers import as_type
from stepwell.console.cli.backends.api_client import ApiClient, given_of, key_header, segment
from stepwell.console.cli.backends.people_backend import AnswerOptions, WantedQuestions
from stepwell.errors import ConfigurationError, WorkflowNotFound
from stepwell.runner.models import Page, Run
from stepwell.runner.people import Question


class RemotePeople(ApiClient):
    """The questions that a server asks the owner of a token."""

    async def inbox(self, wanted: WantedQuestions) -> Page[Question]:
        self._refuse_others(wanted.groups)
        params = {
            "app_name": wanted.app_name,
            "workflow": wanted.workflow,
            "workflow_id": wanted.run_id,
            "overdue": wanted.overdue,
            "limit": wanted.limit,
            "cursor": wanted.cursor,
        }
        everybody = {"everybody": True} if wanted.everybody else {}
        return await self.fetch(Page[Question], "/inbox", params=given_of(params) | everybody)

    async def answer(self, run_id: str, transition: str, data: Any, given: AnswerOptions) -> Run:
        self._refuse_others(given.groups)
        body = {"data": data, "visit": given.visit}
        return await self.post(Run, _of(run_id, "answers", transition), headers=key_header(given.key), json=body)

    async def assign(self, run_id: str, transition: str, assignee: str | None, group: str | None) -> Question:
        self._refuse_others(())
        body = given_of({"assignee": assignee, "group": group})
        answer = await self._ask("PUT", _of(run_id, "questions", transition), json=body)
        return as_type(Question, answer, self._client.base_url)

    def _refuse_others(self, groups: tuple[str, ...]) -> None:
        if self._user is not None or groups:
            raise ConfigurationError(
                f"{'--group' if groups else '--user'} is for a database: a server knows its user, and their groups, from the "
                "token."
            )


def _of(run_id: str, part: str, transition: str) -> str:
    """Return the path of a run's question. Raises WorkflowNotFound for what can't be a run's id, or a name."""
    for one in (run_id, transition):
        if one in ("", ".", "..") or "/" in one:  # servers decode it before they look at the path
            raise WorkflowNotFound(f"No run {run_id!r} that asks for {transition!r}.")
    return f"/runs/{segment(run_id)}/{part}/{segment(transition)}"
