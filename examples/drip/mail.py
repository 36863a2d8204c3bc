"""The mail service. As good ones do, it takes a key with each letter: the same key again is the same letter."""

from __future__ import annotations

from pydantic import BaseModel


class Letter(BaseModel):
    """A letter, as the service has it."""

    address: str
    subject: str
    key: str


class Mail:
    """Letters by their keys, in the order in which they came."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}

    async def send(self, address: str, subject: str, key: str) -> Letter:
        """Return the letter of this key, sent once."""
        return self.letters.setdefault(key, Letter(address=address, subject=subject, key=key))


mail = Mail()
