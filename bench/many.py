"""Many migrations: what the commands, Validate and Verify take as the project grows.

Small migrations, all applied; then a release of one new file. Seconds of CPU, which include
Python's start for the commands; the last line is the growth from the smallest to the largest,
where the number of migrations grew tenfold.

    python bench/many.py --write
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from child import run
from corpus import write_project
from databases import embedded_server, fresh_database, server_version
from page import heading, publish, table
from turnback.engine import Engine, RunContext
from turnback.engine.run.losses import plan_losses
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import scripts_of, write_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project

TURNBACK = str(Path(sys.executable).with_name("turnback"))
COLUMNS = ("check", "lint", "up", "status", "package", "validate one more", "verify all")


def add_one(folder: Path) -> Project:
    """One more migration, with its checksums."""
    (folder / "sql/99999_one_more.sql").write_text("CREATE TABLE one_more (id int);\n")
    (folder / "rollback/99999_rollback.sql").write_text("DROP TABLE one_more;\n")
    project = load_project(folder)
    write_sums(folder, {script.path: script.checksum for script in scripts_of(project)})
    return load_project(folder)


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(server: EmbeddedServer, folder: Path, size: int) -> list[float]:
    """The row of a size."""
    migrations = folder / "migrations"
    write_project(migrations, size)
    url = server.socket_url(fresh_database(server))
    database = ["--database-url", url]
    found = [
        run([TURNBACK, name, "--dir", str(migrations), *more]).cpu
        for name, more in (("check", []), ("lint", []), ("up", database), ("status", database))
    ]
    project = add_one(migrations)
    found.append(cpu(lambda: pack(migrations, "1.0.0", folder / "release.zip")))
    with Engine(url, context=RunContext(run="bench")) as engine:

        def validate() -> None:
            opened = open_artifact(folder / "release.zip").project
            plan = engine.plan_up(opened)
            plan_losses(opened, plan.steps)

        found.append(cpu(validate))
        versions = [migration.version for migration in project.migrations[:-1]]
        found.append(cpu(lambda: engine.verify(project, versions)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    with embedded_server() as server:
        measured = []
        for size in arguments.sizes:
            with scratch(f"many{size}") as folder:
                measured.append(measure(server, folder, size))
        text = heading("python bench/many.py", server_version(server))
    rows = [
        [f"{size:,}", *(f"{seconds:.2f}" for seconds in found)]
        for size, found in zip(arguments.sizes, measured, strict=True)
    ]
    growth = [
        f"× {last / first:.1f}" for first, last in zip(measured[0], measured[-1], strict=True)
    ]
    publish(
        "many.py",
        f"{text}\n{table(['migrations', *COLUMNS], [*rows, ['growth', *growth]])}",
        write=arguments.write,
    )


if __name__ == "__main__":
    main()
