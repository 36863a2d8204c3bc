"""Scheduler"""
import asyncio
from typing import Any


class Scheduler:
    def __init__(self, core: Any, apps: Any) -> None: ...
    async def run(self) -> None:
        await asyncio.Event().wait()
