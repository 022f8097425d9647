"""How long it takes from another tool to `turnback status`: each fixture, with an installed wheel.

python bench/adopt.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from databases import embedded_server, fresh_database

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.adopted import ALL, Fixture  # noqa: E402 (the folder was just made known)

UV = Path(sys.executable).with_name("uv")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name not in ("CI", "VIRTUAL_ENV")
}


def timed(*command: str | Path) -> tuple[float, str]:
    """The seconds that a command took, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began, done.stdout


def adopted(turnback: Path, fixture: Fixture, url: str, place: Path) -> tuple[float, float, str]:
    """The seconds of `adopt` and of `status`, and what it says: applied and pending."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((fixture.path / "database.sql").read_bytes())
    folder = fixture.copy(place, settings=False)
    options = ("--dir", folder, "--database-url", url)
    adopting, _ = timed(turnback, "adopt", *options)
    showing, said = timed(turnback, "status", *options, "--json")
    states = [row["status"] for row in json.loads(said)["migrations"]]
    return adopting, showing, f"{states.count('applied')} + {states.count('pending')}"


def main() -> None:
    with TemporaryDirectory() as name, embedded_server() as server:
        place = Path(name)
        build = ("build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", place)
        timed(UV, *build, "--python", sys.executable, ROOT)
        [wheel] = place.glob("*.whl")
        venv = place / "venv"
        made, _ = timed(sys.executable, "-m", "venv", venv)
        installed, _ = timed(venv / "bin" / "pip", "install", "--quiet", wheel)
        print(f"python -m venv {made:.1f} s, pip install {installed:.1f} s\n")
        print("| tool | applied + pending | adopt, s | status, s |\n|---|---|---|---|")
        for fixture in ALL:
            url = server.url(fresh_database(server))
            (place / fixture.tool).mkdir()
            turnback = venv / "bin" / "turnback"
            adopting, showing, states = adopted(turnback, fixture, url, place / fixture.tool)
            print(f"| {fixture.tool} | {states} | {adopting:.2f} | {showing:.2f} |")


if __name__ == "__main__":
    main()
