"""What the API takes comes back equal, or is refused, and nothing of it is stored."""

from __future__ import annotations

from typing import Any

from api_shop import U1, ClientOf, StepwellOf, good, served

from conformance.support import counts
from stepwell import END, App, Workflow, transition

JSON = {"content-type": "application/json"}


class Keeps(Workflow[dict[str, Any], None, Any]):
    @transition("start", END, wait=True)
    async def answer(self, data: Any) -> Any:
        return data


async def test_a_number_without_an_end_is_refused(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Keeps]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        for number in ("1e999", "-1e999"):
            body = f'{{"app_name": "shop", "workflow": "keeps", "args": {{"limit": [{number}]}}}}'
            answer = await client.post("/api/v1/runs", content=body, headers=JSON)
            assert answer.status_code == 422, answer.text
            assert "limit.0: " in answer.text
            assert await counts(stepwell) == {}

        body = '{"app_name": "shop", "workflow": "keeps", "args": {"limit": [1e308, 5e-324, -0.0]}}'
        run = good(await client.post("/api/v1/runs", content=body, headers=JSON), 202)
        path = f"/api/v1/runs/{run['workflow_id']}"
        assert good(await client.get(path))["args"] == {"limit": [1e308, 5e-324, -0.0]}
        answer = await client.post(f"{path}/signals", content='{"name": "answer", "data": 1e999}', headers=JSON)
        assert (answer.status_code, "inf comes back as None" in answer.text) == (422, True), answer.text
