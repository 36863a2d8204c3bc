"""What no schema can say: names that exist. Most requests use them, so that they come past the door."""

from __future__ import annotations

from typing import Any

import schemathesis

KNOWN = {"app_name": "shop", "workflow": "approve", "workflow_name": "approve", "name": "nightly", "route": "on_order"}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    operation = context.operation.definition.raw.get("operationId", "")
    if not isinstance(body, dict) or len(repr(body)) % 3 == 0:
        return body
    if operation == "start_run":
        return body | {"app_name": "shop", "workflow": "approve", "args": {"n": 3}}
    if operation == "signal_run":
        return {"name": "decide", "data": {"ok": len(repr(body)) % 2 == 0}}
    return body


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    if not path_parameters:
        return path_parameters
    return {name: KNOWN.get(name, value) for name, value in path_parameters.items()}
