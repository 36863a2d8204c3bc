"""Links that answer one question without a login: signed addresses, of which the database keeps nothing.

What is signed says all that the link is good for: the question by run, transition and visit, how often that had been
assigned, who is taken to answer, and until when. So a link is void once its question is answered, ends, or is assigned anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from itsdangerous import BadData, URLSafeSerializer

from stepwell.definition.values.misfit import shown
from stepwell.engine.questions import WHENEVER, QuestionRow
from stepwell.engine.run import Moment, RunRow
from stepwell.engine.signals import signal_name
from stepwell.errors import ConfigurationError, InvalidArgs, LinkExpired, LinkNotFound, WorkflowNotFound
from stepwell.execution.answering import Admitted, Person, admit, check_open
from stepwell.execution.clock import microseconds, to_datetime
from stepwell.execution.operations import visible
from stepwell.execution.shared import LinkKeys
from stepwell.execution.timers import words_of
from stepwell.execution.versions import seen
from stepwell.runner.arguments import checked_groups, checked_name, run_id
from stepwell.runner.models import Run
from stepwell.runner.people import Answering, Question
from stepwell.store import questions, runs
from stepwell.store.questions import Entry
from stepwell.store.tx import Tx

PATH: Final = "/api/v1/answers/"
"""The path of links, below `Settings.public_url`."""
_SALT: Final = "stepwell.answer-link"
_LONGEST: Final = 16_384
"""Characters of what is signed, at most."""
_FARTHEST: Final = timedelta(days=3_660)


class AnswerLink(NamedTuple):
    """The question that a link is good for, and the person and the time."""

    workflow_id: str
    transition: str
    visit: int
    assigned: int
    by: str
    until: Moment

    @property
    def expires_at(self) -> datetime:
        """The moment from which on it isn't taken."""
        return to_datetime(self.until)


class Linking(Answering):
    """The verbs for links to questions."""

    async def answer_link(
        self,
        workflow_id: str,
        transition: str | Callable[..., object],
        *,
        by: str,
        expires: timedelta,
        groups: Collection[str] = (),
    ) -> str:
        """Return an address that shows the open question without a login, and takes one answer to it, as that of `by`.

        A person who has the link may answer: it is the authority itself, until `expires` is over, the question is answered or
        ends, or it is assigned anew. A runner restricted to a user makes links only for what that user, with these `groups`,
        may answer, and in their own name.

        Raises ConfigurationError without `Settings.secret_key` and `Settings.public_url`; WorkflowNotFound,
        UnknownTransition, AlreadyAnswered, RunFinished, InvalidArgs.
        """
        keys = self.core.shared.links
        address = _checked_address(keys)
        by, teams = checked_name("by", by), checked_groups(groups)
        self._only(by)
        person, restricted = Person(by, teams, answers=True), self.restricted
        until = self.core.shared.clock.now() + microseconds(_checked_expiry(expires))
        workflow_id = run_id(workflow_id, self.only)

        def query(tx: Tx) -> tuple[int, int, str]:
            held = runs.load_one(tx, workflow_id)
            operations = self.core.operations
            row = operations.there(held, workflow_id, person, by) if restricted else visible(held, workflow_id, None)
            found = self._admitted(tx, row, transition, person, restricted=restricted)
            question = found.question
            if question is None:
                return row.visit, 0, found.name
            return question.visit, question.assigned, found.name

        visit, assigned, name = await self.read(query)
        return address + PATH + sign(keys, AnswerLink(workflow_id, name, visit, assigned, by, until))

    def opened_link(self, token: str) -> AnswerLink:
        """Return what the last part of a link's address says. Raises LinkNotFound, LinkExpired, ConfigurationError."""
        link = read_link(self.core.shared.links, token)
        if self.core.shared.clock.now() >= link.until:
            raise LinkExpired(
                f"This link was valid until {link.expires_at.isoformat(timespec='seconds')}: ask for another."
            )
        return link

    async def linked_question(self, link: AnswerLink) -> Question:
        """Return the question that a link shows. Raises LinkNotFound, AlreadyAnswered, RunFinished, UnknownTransition."""
        person = _person(link)

        def query(tx: Tx) -> Question:
            row = visible(runs.load_one(tx, link.workflow_id), link.workflow_id, None)
            found = self._admitted(tx, row, link.transition, person, restricted=True)
            question = found.question or _unasked(row, found.name)
            return self._questions(tx, [Entry(question, row.labels, row.subject)])[0]

        try:
            return await self.read(query)
        except WorkflowNotFound as error:
            raise unknown_link() from error

    async def answer_by_link(self, link: AnswerLink, data: Any) -> Run:
        """Return the run, with the answer stored. Raises as `linked_question`, and InvalidPayload, PayloadTooLarge."""
        try:
            return await self.send(link.workflow_id, link.transition, data, None, _person(link), None, None)
        except WorkflowNotFound as error:
            raise unknown_link() from error

    def _admitted(
        self, tx: Tx, row: RunRow, given: str | Callable[..., object], person: Person, *, restricted: bool
    ) -> Admitted:
        """Return the open question; `restricted`: if this person may answer it. Raises as `answer`."""
        definition = self.core.operations.definition(row)
        if restricted:
            found = admit(tx, definition, row, given, person)
            assert found is not None  # the person answers
        else:
            name = signal_name(definition, seen(definition, row), given)
            found = Admitted(questions.latest(tx, row.id, definition.all_names([name]), None), name)
        check_open(tx, definition, row, found, person)
        return found


def _person(link: AnswerLink) -> Person:
    return Person(link.by, answers=True, visit=link.visit, link=link.assigned)


def _unasked(row: RunRow, name: str) -> QuestionRow:
    """Return a signal for which the run waits without a question, as a question to its user."""
    return QuestionRow(
        row.id, row.visit, name, row.app_name, row.workflow_name, row.user_id, words_of(name), None, None, None, None,
        WHENEVER, row.entered_at, "[]",
    )  # fmt: skip


def unknown_link() -> LinkNotFound:
    """Return the refusal of a link that isn't, or is no longer, good for anything."""
    return LinkNotFound(
        "This link isn't valid: it was cut off or changed on its way, or its question has been given to another person."
    )


# -- signing ----------------------------------------------------------------------------------------------------------


def _checked_address(keys: LinkKeys) -> str:
    if keys.secret is None or keys.address is None:
        missing = " and ".join(
            name for name, given in (("secret_key", keys.secret), ("public_url", keys.address)) if given is None
        )
        raise ConfigurationError(
            f"answer_link needs Settings.{missing}: secret_key signs links (keep it secret, and the same in all processes), "
            "and public_url is the address at which people reach this application, as in https://orders.example.com."
        )
    return keys.address


def _checked_expiry(expires: Any) -> timedelta:
    if isinstance(expires, timedelta) and timedelta(0) < expires <= _FARTHEST:
        return expires
    raise InvalidArgs(
        f"expires={shown(expires)}: give a timedelta above zero, of at most {_FARTHEST.days:,} days, as timedelta(days=2)."
    )


def sign(keys: LinkKeys, link: AnswerLink) -> str:
    """Return a link as text for its address."""
    return _signer(keys).dumps(list(link))


def read_link(keys: LinkKeys, token: str) -> AnswerLink:
    """Return what was signed. Raises LinkNotFound for anything else, ConfigurationError without a key."""
    if len(token) > _LONGEST:
        raise unknown_link()
    try:
        return AnswerLink(*_signer(keys).loads(token))
    except (BadData, TypeError, ValueError, RecursionError) as error:
        raise unknown_link() from error


def _signer(keys: LinkKeys) -> URLSafeSerializer:
    if keys.secret is None:
        raise unknown_link()
    secrets = [one.get_secret_value() for one in (*keys.former, keys.secret)]  # the last one signs
    return URLSafeSerializer(
        secrets,
        salt=_SALT,
        serializer=json,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
