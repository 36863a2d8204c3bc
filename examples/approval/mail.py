"""A mailbox of files: the address, and a mail for each key, however often it is sent."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mail:
    """A mail as it is stored: whom it is to, and its text."""

    to: str
    text: str

    @property
    def link(self) -> str:
        """The address on its last line."""
        return self.text.splitlines()[-1]


class Mailbox:
    """The mails in a folder, the oldest first. A mail is sent once per key, as a mail service with idempotency keys does it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, key: str, mail: Mail) -> None:
        """Store a mail, unless one with this key is stored already."""
        file = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.mail"
        if not file.exists():
            draft = file.with_suffix(".draft")
            draft.write_text(f"{mail.to}\n{mail.text}", encoding="utf-8")
            draft.replace(file)

    def mails(self, to: str) -> list[Mail]:
        """Return the mails to a person, the oldest first."""
        files = sorted(self._folder.glob("*.mail"), key=lambda one: one.stat().st_mtime_ns)
        found = [one.read_text(encoding="utf-8").partition("\n") for one in files]
        return [Mail(name, text) for name, _, text in found if name == to]


def mailbox() -> Mailbox:
    """Return the mailbox in the folder that the environment names."""
    return Mailbox(Path(os.environ["APPROVAL_MAILS"]))
