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
from stepwell.definition.values.misfit import ValueMisfit, shown
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request
from stepwell.engine.run import RunRow
from stepwell.errors import InvalidArgs, InvalidPayload
from stepwell.execution.limits import begin_limited
from stepwell.execution.shared import Shared, new_id
from stepwell.nearest import nearest
from stepwell.store.workspaces import workspace_of

_MAX_LABEL = 512
_VERB = "self.start"
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
    app_name: str | None,
) -> tuple[Commit, Link | None]:
    """Return the commit that makes the child, and its link if it is to be shown.

    Raises UnknownWorkflow, InvalidArgs, InvalidPayload, PayloadTooLarge.
    """
    check_choice(_VERB, "show", show, get_args(Show))
    check_choice(_VERB, "on_parent_end", on_parent_end, (None, *get_args(OnParentEnd)))
    checked_label(_VERB, label)
    app = run.app_name if app_name is None else app_name
    definition = shared.registry.get(app, workflow)
    request = Request(
        id=new_id(),
        app_name=app,
        user_id=run.user_id,
        workspace_id=run.workspace_id if app == run.app_name else workspace_of(app, run.user_id),
        args=args_json(definition, args, shared.limits.args),
        state=definition.new_state(),
        parent_id=run.id,
        callback=callback,
        callback_meta=meta_json(_VERB, meta, shared.limits.payload),
        on_parent_end=on_parent_end or ("cancel" if callback else "abandon"),
        ageing=shared.rules.ageing,
    )
    link = None
    if show != "hidden":
        link = Link(label=label or definition.title, workflow_id=request.id, show=show)
    return begin_limited(definition, request, shared.clock.now()), link


def check_choice(verb: str, what: str, given: object, choices: Sequence[object]) -> None:
    """Raise InvalidArgs for anything but one of these."""
    if not any(given == one and type(given) is type(one) for one in choices):
        near = nearest(given, [one for one in choices if isinstance(one, str)]) if isinstance(given, str) else None
        cure = f" Did you mean {near!r}?" if near else ""
        raise InvalidArgs(f"{verb}({what}={given!r}): it is one of {', '.join(map(repr, choices))}.{cure}")


def checked_label(verb: str, label: str | None) -> str | None:
    """Return the label if it is valid. Raises InvalidPayload."""
    if label and not is_text(label, _MAX_LABEL):
        raise InvalidPayload(f"{verb}(label={label!r}): give a text of at most {_MAX_LABEL} characters, without NUL.")
    return label


def meta_json(verb: str, meta: dict[str, Any] | None, limit: int) -> str | None:
    """Return the meta as JSON. Raises InvalidArgs, PayloadTooLarge."""
    if meta is None:
        return None
    try:
        return bounded(_ANY.checked(meta), limit, f"The meta of {verb}")
    except (ValidationError, ValueMisfit) as error:
        raise InvalidArgs(f"{verb}(meta={shown(meta)}) can't be stored: {summary(error)}", details(error)) from error
