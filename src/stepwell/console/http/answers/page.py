"""The pages of links, as HTML. Everything that isn't written here is escaped; Markdown is rendered without raw HTML."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt

from stepwell.console.http.answers.fields import AnswerField
from stepwell.runner.models import StoredDocument
from stepwell.runner.people import Question

_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; padding: 1.25rem; max-width: 40rem; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .5rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
.facts, .hint { color: GrayText; font-size: .875rem; margin: 0 0 1rem; }
label, legend { display: block; font-weight: 600; margin-bottom: .25rem; }
.option { display: flex; gap: .6rem; align-items: center; font-weight: 400; min-height: 2.75rem; margin: 0; }
.option input { width: 1.25rem; height: 1.25rem; flex: none; }
fieldset, .field { border: 0; margin: 0 0 1.25rem; padding: 0; }
input:not([type=radio]):not([type=checkbox]), select, textarea {
  box-sizing: border-box; width: 100%; min-height: 2.75rem; padding: .5rem; font: inherit;
}
button { font: inherit; font-weight: 600; min-height: 3rem; padding: .5rem 1.25rem; width: 100%; margin-bottom: .75rem; }
.wrong { color: #b3261e; font-weight: 600; margin: 0 0 .5rem; }
@media (prefers-color-scheme: dark) { .wrong { color: #ff8a80; } }
dl { margin: 0; } dt { font-weight: 600; } dd { margin: 0 0 .5rem; white-space: pre-wrap; }
pre { overflow-x: auto; white-space: pre-wrap; } table { border-collapse: collapse; }
td, th { border: 1px solid; padding: .25rem .5rem; }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Headers of every page: it loads nothing, is stored nowhere, and its address goes to no other site."""
_LONGEST_MARKDOWN: Final = 50_000
"""Characters of Markdown that are rendered; a longer text is shown as it is."""
_TITLES: Final = {
    404: "This link isn't valid",
    408: "The answer didn't arrive",
    409: "This question has been answered",
    410: "This link has expired",
    413: "The answer is too large",
    422: "The answer isn't complete",
    429: "Too many attempts",
}


def document(title: str, body: str) -> str:
    """Return a whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def question_page(
    question: Question,
    fields: Sequence[AnswerField],
    by: str,
    expires_at: datetime,
    *,
    given: Mapping[str, Sequence[str]] | None = None,
    wrong: Iterable[tuple[str | None, str]] = (),
) -> str:
    """Return the question with its form; `given` is what was sent before, and `wrong` why it was refused."""
    faults = list(wrong)
    facts = [f"For {by}"]
    if question.due_at is not None:
        facts.append(f"due {_moment(question.due_at)}")
    facts.append(f"this link is valid until {_moment(expires_at)}")
    body = [f"<h1>{escape(question.title)}</h1>", f'<p class="facts">{escape("; ".join(facts))}</p>']
    if question.text:
        body.append(markdown(question.text))
    body += [_document(one) for one in question.documents]
    body += [f'<p class="wrong" role="alert">{escape(why)}</p>' for name, why in faults if name is None]
    body.append(_form(fields, given, faults))
    return document(question.title, "".join(body))


def thanks_page(question: Question, by: str) -> str:
    """Return the page after an answer."""
    said = f"<p>Your answer to <strong>{escape(question.title)}</strong> was stored as that of {escape(by)}.</p>"
    return document("Thank you", f"<h1>Thank you</h1>{said}<p>You can close this page.</p>")


def refusal_page(status: int, why: str, title: str | None = None) -> str:
    """Return the page of a link that takes no answer."""
    title = title or _TITLES.get(status, "That didn't work")
    return document(title, f'<h1>{escape(title)}</h1><p role="alert">{escape(why)}</p>')


def markdown(text: str) -> str:
    """Return Markdown as HTML: no raw HTML, no pictures, and no links but those to web pages and mail addresses."""
    return _renderer().render(text) if len(text) <= _LONGEST_MARKDOWN else f"<pre>{escape(text)}</pre>"


@cache
def _renderer() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table").disable("image")

    def external(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        rendered: str = self.renderToken(tokens, index, options, env)
        return rendered

    made.add_render_rule("link_open", external)
    return made


# -- the form -----------------------------------------------------------------------------------------------------------


def _form(
    fields: Sequence[AnswerField], given: Mapping[str, Sequence[str]] | None, faults: Sequence[tuple[str | None, str]]
) -> str:
    # Without an action it is sent to the address of the page.
    if len(fields) == 1 and fields[0].kind == "choice" and len(fields[0].options) == 2 and not fields[0].in_list:
        return f'<form method="post" autocomplete="off">{_buttons(fields[0], faults)}</form>'
    parts = [
        _part(field, None if given is None else given.get(field.name, ()), _words(field, faults)) for field in fields
    ]
    send = '<button type="submit">Send the answer</button>'
    return f'<form method="post" autocomplete="off">{"".join(parts)}{send}</form>'


def _words(field: AnswerField, faults: Sequence[tuple[str | None, str]]) -> str:
    return "".join(f'<p class="wrong" role="alert">{escape(why)}</p>' for name, why in faults if name == field.name)


def _buttons(field: AnswerField, faults: Sequence[tuple[str | None, str]]) -> str:
    """Return one button for each of two choices: an answer is one touch."""
    return _words(field, faults) + "".join(
        f'<button type="submit" name="{escape(field.name)}" value="{escape(value)}">{escape(words)}</button>'
        for value, words in field.options
    )


def _part(field: AnswerField, given: Sequence[str] | None, wrong: str) -> str:
    hint = f'<p class="hint">{escape(field.description)}</p>' if field.description else ""
    title = escape(field.title) + ("" if field.required or field.kind == "choices" else " (optional)")
    if field.kind in ("choice", "choices"):
        marked = _marked(field, given)
        options = "".join(_option(field, value, words, value in marked) for value, words in field.options)
        return f"<fieldset><legend>{title}</legend>{hint}{wrong}{options}</fieldset>"
    label = f'<label for="{escape(field.name)}">{title}</label>'
    return f'<div class="field">{label}{hint}{wrong}{_input(field, _text(field, given))}</div>'


def _marked(field: AnswerField, given: Sequence[str] | None) -> Sequence[str]:
    if given is not None:
        return given
    if field.kind == "choices":
        return [json.dumps(one) for one in field.default or ()]
    return [json.dumps(field.default)] if field.default is not None else []


def _option(field: AnswerField, value: str, words: str, marked: bool) -> str:
    kind = "checkbox" if field.kind == "choices" else "radio"
    needed = " required" if field.required and kind == "radio" else ""
    return (
        f'<label class="option"><input type="{kind}" name="{escape(field.name)}" value="{escape(value)}"'
        f"{' checked' if marked else ''}{needed}>{escape(words)}</label>"
    )


def _text(field: AnswerField, given: Sequence[str] | None) -> str:
    if given is not None:
        return given[-1] if given else ""
    if field.default is None:
        return ""
    return field.default if isinstance(field.default, str) else json.dumps(field.default, ensure_ascii=False)


def _input(field: AnswerField, text: str) -> str:
    named = f'id="{escape(field.name)}" name="{escape(field.name)}"' + (" required" if field.required else "")
    match field.kind:
        case "area" | "json":
            written = ' spellcheck="false" placeholder="JSON"' if field.kind == "json" else ""
            return f'<textarea rows="6" {named}{written}>\n{escape(text)}</textarea>'
        case "number":
            return f'<input type="text" inputmode="decimal" {named} value="{escape(text)}">'
        case "date":
            return f'<input type="date" {named} value="{escape(text)}">'
    return f'<input type="text" {named} value="{escape(text)}">'


# -- documents ----------------------------------------------------------------------------------------------------------


def _document(stored: StoredDocument) -> str:
    rows = "".join(f"<dt>{escape(_name(name))}</dt><dd>{_value(value)}</dd>" for name, value in stored.content.items())
    return f"<section><h2>{escape(_name(stored.name))}</h2><dl>{rows}</dl></section>"


def _name(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "Yes", False: "No", None: "-"}[value]
    if isinstance(value, str | int | float):
        return escape(str(value))
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
