"""Three trips, and what the services have of them: `python -m examples.saga`."""

from __future__ import annotations

import asyncio
import os
from tempfile import TemporaryDirectory

from examples.saga.services import services
from examples.saga.workflows import Trip, Wish, trips
from stepwell import RunHandle, Settings, Stepwell
from stepwell.errors import RunFailed


async def main() -> None:
    """Show a trip that works out, one that doesn't, and one that is cancelled."""
    with TemporaryDirectory() as folder:
        os.environ["SAGA_SERVICES"] = folder
        async with Stepwell(apps=[trips], settings=Settings(database_url=f"sqlite:///{folder}/trips.db")) as stepwell:
            for title, wish in {
                "all three are booked": Wish(),
                "no car is left": Wish(sold_out="car"),
                "the traveller cancels": Wish(confirm=True),
            }.items():
                run = await stepwell.runner.run(Trip, wish, app_name="trips", user_id="ada")
                if wish.confirm:
                    await _waits(run)
                    await run.cancel(reason="rain")
                print(f"{title}: {await _end(run)}")
                for name, service in services().items():
                    happened = [what for what, key in service.changes() if key == run.workflow_id]
                    print(f"    {name}: {', '.join(happened) or 'nothing'}")


async def _waits(run: RunHandle[str]) -> None:
    while (await run.get()).status != "waiting":
        await asyncio.sleep(0.01)


async def _end(run: RunHandle[str]) -> str:
    try:
        return await run.result(timeout=60)
    except RunFailed as error:
        return str(error)


if __name__ == "__main__":
    asyncio.run(main())
