"""A shop to try requests on: `python schemathesis_shop.py PORT DATABASE_URL [PREFIX [ROOT_PATH]]`."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from stepwell import END, App, Markdown, Settings, Stepwell, WebhookEvent, Workflow, transition
from stepwell.fastapi import Principal
from stepwell.triggers import github_signature


class Args(BaseModel):
    n: int = 1


class Decision(BaseModel):
    ok: bool


class Approve(Workflow[Args, dict[str, Any], str]):
    """Asks a person."""

    @transition(target="asked")
    async def ask(self) -> None:
        await self.documents.save(Markdown(text="May I?"))
        await self.step("look", len, "abc")
        await self.start(Break)

    @transition("asked", END, wait=True)
    async def decide(self, decision: Decision) -> str:
        """Say yes or no."""
        return "yes" if decision.ok else "no"


class Break(Workflow[None, None, None], name="break_it"):
    """Fails."""

    @transition(target=END)
    async def fail(self) -> None:
        raise ValueError("it is broken")


def shop() -> App:
    app = App("shop", workflows=[Approve, Break])
    app.schedule("nightly", workflow=Break, every=timedelta(hours=6))

    @app.webhook("/webhooks/orders", verify=github_signature(secret="s"))
    async def on_order(event: WebhookEvent) -> None:
        raise ValueError(event.id)

    return app


def application(database_url: str, prefix: str, root_path: str) -> FastAPI:
    """Everybody is the administrator."""
    settings = Settings(_env_file=None, database_url=database_url, auth={"tokens": True})  # type: ignore[arg-type]
    stepwell = Stepwell(apps=[shop()], settings=settings)
    app = FastAPI(lifespan=stepwell.lifespan, root_path=root_path)

    async def root() -> Principal:
        return Principal("root", "admin")

    stepwell.mount(app, user=Depends(root), prefix=prefix)
    return app


if __name__ == "__main__":
    port, url, prefix, root_path, *_ = [*sys.argv[1:], "", ""]
    uvicorn.run(application(url, prefix, root_path), port=int(port), log_level="warning")
