"""The rehearsal against the same work by psql and pg_dump: up, dump, down, dump, up, dump.

Both on an embedded server that never waits for the disk, in the same run, on the first migrations
of the cratesio corpus. The other side compares nothing, traces nothing and explains nothing.

And its growth: small migrations on its own server, twice as many each time; then 350 with 200
broken rollbacks, of which half fail and half leave the table; then a release of 50 on top of 1,000
that are applied.

    python bench/rehearse.py --size 40 --write
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from child import run
from corpus import write_project
from page import heading, publish, table
from turnback.local.programs import binaries
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import scripts_of, write_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "cratesio"
TURNBACK = Path(sys.executable).with_name("turnback")


def by_turnback(folder: Path, versions: list[str], server: EmbeddedServer) -> float:
    """Seconds of ``turnback rehearse`` over these versions."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    began = time.perf_counter()
    command = [TURNBACK, "rehearse", *versions, "--dir", folder, "--shadow-url", server.url()]
    subprocess.run(command, capture_output=True, env=environment, check=False)
    return time.perf_counter() - began


def by_psql(project: Project, size: int, server: EmbeddedServer, name: str) -> float:
    """Seconds of psql and pg_dump over as many migrations, six processes each."""
    psql, dump = str(binaries() / "psql"), str(binaries() / "pg_dump")
    began = time.perf_counter()
    subprocess.run([psql, "-Xqc", f"CREATE DATABASE {name}", server.url()], check=True)
    url = server.url(name)
    for migration in project.migrations[:size]:
        for script in (migration.forward, migration.rollback, migration.forward):
            if script is not None:
                file = project.folder / script.path
                subprocess.run([psql, "-Xqf", file, url], capture_output=True, check=False)
            subprocess.run([dump, "-s", url], capture_output=True, check=True)
    return time.perf_counter() - began


def grown(
    folder: Path, size: int, broken: int = 0, applied: int = 0, *, stored: bool = False
) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a rehearsal, without the first ``applied`` migrations.

    The first ``broken`` rollbacks are wrong. With ``stored`` it begins with a stored state.
    """
    write_project(folder, size)
    for number in range(1, broken + 1):
        wrong = f"DROP TABLE item_{number}, nowhere;" if number % 2 else ""
        sql = wrong or f"DROP INDEX item_{number}_name_idx;"
        (folder / f"rollback/{number:04}_rollback.sql").write_text(f"{sql}\n", encoding="utf-8")
    project = load_project(folder)
    write_sums(folder, {script.path: script.checksum for script in scripts_of(project)})
    # It ends with 3 where a rollback is wrong.
    chosen = [m.version for m in project.migrations[applied:]] if applied else ["--all"]
    how = f"XDG_CACHE_HOME='{folder.parent}'" if stored else ""
    again = "" if stored else "--no-stored-state"
    script = f'{how} "$0" rehearse {again} --dir "$@" || test $? = 3'
    command = ["sh", "-c", script, str(TURNBACK), str(folder), *chosen]
    if stored:
        run(command)
    done = run(command)
    return done.seconds, done.cpu


def growth(sizes: list[int]) -> str:
    """The table of growth."""
    rows, before = [], 0.0
    whole = [(size, 0, 0, False) for size in sizes]
    others = [(350, 200, 0, False), (1050, 0, 1000, False), (1050, 0, 1000, True)]
    for size, broken, applied, stored in [*whole, *others]:
        with scratch(f"rehearse{size}") as folder:
            seconds, cpu = grown(folder / "migrations", size, broken, applied, stored=stored)
        ratio = f"{cpu / before:.2f}" if before and not (broken or applied) else "–"
        what = f"{size - applied:,}{f' on top of {applied:,}' if applied else ''}"
        what += ", stored" if stored else ""
        rows.append([what, str(broken), f"{seconds:.1f} s", f"{cpu:.1f} s", ratio])
        before = cpu
    columns = [
        "migrations",
        "broken rollbacks",
        "`turnback rehearse`",
        "CPU",
        "CPU to the line before",
    ]
    return table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=60, help="how many migrations")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    parser.add_argument("--sizes", type=int, nargs="*", default=[50, 100, 200, 400, 1000])
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    if not CORPUS.is_dir():
        sys.exit("the corpus shared/corpora/cratesio is not beside this checkout")
    project = load_project(CORPUS)
    versions = [migration.version for migration in project.migrations[: arguments.size]]
    ours, theirs = [], []
    with (
        scratch("bench") as folder,
        EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True) as server,
    ):
        for number in range(arguments.repeat):
            ours.append(by_turnback(CORPUS, versions, server))
            theirs.append(by_psql(project, arguments.size, server, f"by_psql_{number}"))
    row = [
        str(arguments.size),
        f"{median(ours):.2f} s",
        f"{median(theirs):.2f} s",
        f"{median(ours) / median(theirs):.2f}",
    ]
    columns = ["migrations", "`turnback rehearse`", "psql and pg_dump", "ratio"]
    text = heading(f"python bench/rehearse.py --size {arguments.size}", "18")
    tables = f"{table(columns, [row])}\n{growth(arguments.sizes)}"
    publish("rehearse.py", f"{text}\n{tables}", write=arguments.write)


if __name__ == "__main__":
    main()
