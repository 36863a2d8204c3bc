"""What a run shows to people, and how: widgets of workflows and documents, widgets of fields, and their layout.

Widgets of workflows and documents fire a transition: `Form`, `PromptInput`, `Button`, in `ui=[...]`. Widgets of fields
are for `Annotated[str, TextArea(rows=4)]` in the models of args, payloads and documents, or for `Form(fields=...)`.
`Layout` puts the fields of a model in order and in groups.
"""

from stepwell.definition.ui import Button, Form, PromptInput
from stepwell.definition.widgets import (
    Checkbox,
    Code,
    Date,
    Group,
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
