"""Widgets of workflows, documents and fields, and the layout of fields, for Studio.

Widgets of workflows and documents fire a transition: `Form`, `PromptInput`, `Button`, in `ui=[...]`. Widgets of fields
are for `Annotated[str, TextArea(rows=4)]` in the models of args, payloads and documents, or for `Form(fields=...)`.
`Layout` puts the fields of a model in order and in groups.
"""

from stepwell.definition.forms.ui import Button, Form, PromptInput
from stepwell.definition.forms.widgets import (
    Checkbox,
    Code,
    Date,
    Hidden,
    Layout,
    MarkdownEditor,
    Number,
    Radio,
    ReadOnly,
    Select,
    Slider,
    Switch,
    Text,
    TextArea,
)
from stepwell.definition.forms.widgets import (
    FieldGroup as Group,
)

__all__ = [
    "Button",
    "Checkbox",
    "Code",
    "Date",
    "Form",
    "Group",
    "Hidden",
    "Layout",
    "MarkdownEditor",
    "Number",
    "PromptInput",
    "Radio",
    "ReadOnly",
    "Select",
    "Slider",
    "Switch",
    "Text",
    "TextArea",
]
