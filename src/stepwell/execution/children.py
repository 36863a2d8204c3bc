"""The child that `self.start` asks for, and its link among the parent's documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import ValidationError

from stepwell.definition.authoring.context import OnParentEnd, Show
from stepwell.definition.authoring.document import Link
from stepwell.definition.text import is_text
from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.inputs import args_json, bounded, details, summary
from stepwell.definition.values.misfit import Misfit, shown
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin
from stepwell.engine.run import RunRow
from stepwell.errors import InvalidArgs, InvalidPayload
from stepwell.execution.shared import Shared, new_id

_MAX_LABEL = 512
_ANY = codec_for(Any)


def child_of(
    shared: Shared,
    run: RunRow,
    workflow: Any,
    args: Any,
    callback: str | None,
    show: Show,
    label: str | None,
    meta: dict[str, Any] | None,
    on_parent_end: OnParentEnd | None,
) -> tuple[Commit, Link | None]:
    """Return the commit that makes the child, and its link if it is to be shown.

    Raises UnknownWorkflow, InvalidArgs, InvalidPayload, PayloadTooLarge.
    """
    _check_choice("show", show, get_args(Show))
    _check_choice("on_parent_end", on_parent_end, (None, *get_args(OnParentEnd)))
    if label and not is_text(label, _MAX_LABEL):
        raise InvalidPayload(
            f"self.start(label={label!r}): give a text of at most {_MAX_LABEL} characters, without NUL."
        )
    definition = shared.registry.get(run.app_name, workflow)
    request = Request(
        id=new_id(),
        app_name=run.app_name,
        user_id=run.user_id,
        workspace_id=run.workspace_id,
        args=args_json(definition, args, shared.limits.args),
        state=definition.new_state(),
        parent_id=run.id,
        callback=callback,
        callback_meta=_meta_json(meta, shared.limits.payload),
        on_parent_end=on_parent_end or ("cancel" if callback else "abandon"),
    )
    link = None
    if show != "hidden":
        link = Link(label=label or definition.title, workflow_id=request.id, show=show)
    return begin(definition, request, shared.clock.now()), link


def _check_choice(what: str, given: object, choices: Sequence[object]) -> None:
    if given not in choices:
        raise InvalidArgs(f"self.start({what}={given!r}): it is one of {', '.join(map(repr, choices))}.")


def _meta_json(meta: dict[str, Any] | None, limit: int) -> str | None:
    if meta is None:
        return None
    try:
        return bounded(_ANY.checked(meta), limit, "The meta of self.start")
    except (ValidationError, Misfit) as error:
        raise InvalidArgs(
            f"self.start(meta={shown(meta)}) can't be stored: {summary(error)}", details(error)
        ) from error
