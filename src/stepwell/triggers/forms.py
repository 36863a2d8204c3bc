"""Bodies of webhooks that are HTML forms (`application/x-www-form-urlencoded`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

FORM_TYPE: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 10_000


class FormFields(Mapping[str, str]):
    """The fields of a form by name, in their order. A name that came several times has its last value here, and all in `all`."""

    __slots__ = ("_values",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"FormFields({self._values!r})"

    def all(self, name: str) -> list[str]:
        """Return all values of this name, in their order; none if it didn't come."""
        return list(self._values.get(name, ()))


def content_type(headers: Mapping[str, str]) -> str:
    """Return the media type in these headers (by lower-case name), in lower case; empty without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_form(body: bytes) -> FormFields:
    """Return the fields of an urlencoded form. Raises ValueError if it isn't one in UTF-8, or has too many fields."""
    text = body.decode()
    return FormFields(
        parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS) if text else []
    )
