"""How the fields of a document are shown: read once from the schema of its class, and stored with each document."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from stepwell.definition.codec import codec_for
from stepwell.definition.document import Document
from stepwell.definition.fitting import schema_of
from stepwell.definition.schemas import Schema, resolved
from stepwell.definition.widgets import GROUPS, ORDER, WIDGET


@lru_cache(maxsize=1024)
def shown(document: type[Document]) -> str | None:
    """What is stored as the `ui` of documents of a class, as JSON: what its fields look like, then its widgets.

    None where the class says nothing of either, as most don't.
    """
    fields = fields_of(document)
    told = [*([fields] if fields else ()), *(widget.model_dump(mode="json") for widget in document.document_ui)]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) if told else None


def fields_of(document: type[Document]) -> dict[str, Any] | None:
    """Names as in JSON, titles, descriptions and widgets, in order, and the groups; None where nothing is declared."""
    root = schema_of(codec_for(document))
    if root is None:
        return None
    part = resolved(root, root)
    fields = {name: _field(name, schema) for name, schema in part.get("properties", {}).items()}
    if not any(fields.values()) and not part.keys() & {ORDER, GROUPS}:
        return None
    order = [name for name in part.get(ORDER, ()) if name in fields]
    names = [*order, *(name for name in fields if name not in order)]
    return {
        "type": "fields",
        "fields": [{"name": name, **fields[name]} for name in names],
        "groups": part.get(GROUPS, []),
    }


def _field(name: str, schema: Schema) -> dict[str, Any]:
    told = {key: schema[key] for key in ("title", "description") if key in schema}
    if told.get("title") == name.replace("_", " ").title():
        del told["title"]
    return told | ({"widget": schema[WIDGET]} if WIDGET in schema else {})
