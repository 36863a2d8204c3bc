"""The desk behind a login: `uvicorn guarded:app`."""

from __future__ import annotations

from contextlib import asynccontextmanager

from desk import desk
from fastapi import FastAPI

from stepwell import Settings, Stepwell

stepwell = Stepwell(apps=[desk], settings=Settings(auth={"tokens": True}))


@asynccontextmanager
async def lifespan(_: FastAPI):
    async with stepwell:
        yield


app = FastAPI(lifespan=lifespan)
stepwell.mount(app)
