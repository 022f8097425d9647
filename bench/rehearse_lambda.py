"""Whether the function ``rehearse`` fits 1,024 MB and 60 s with 300 migrations.

A process as Lambda runs it: the layer's server in ``/tmp``, one CPU, what the function does with an
artifact of small migrations (a table of five columns and an index each). A function of 1,024 MB
gets 1024/1769 of a CPU, so its seconds are derived from the CPU time of the process and of its
server; memory is the most that all of them had at once (proportional set size).

    python bench/rehearse_lambda.py --size 300 --write
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from corpus import write_project
from page import heading, publish, table
from turnback.local.deploy import build_layer
from turnback.local.scratch import scratch
from turnback.migrations.artifact import open_artifact, pack

ROOT = Path(__file__).resolve().parent.parent
MEMORY_MB, WHOLE_CPU_MB = 1024, 1769
SAMPLE_S = 0.1


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=300, help="how many migrations")
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(rehearsed(chosen.child)))
        return
    found = measure(chosen.size)
    rows = [
        [
            str(chosen.size),
            f"{found['seconds']:.1f}",
            f"{found['cpu']:.1f}",
            f"{found['cpu'] * WHOLE_CPU_MB / MEMORY_MB:.0f}",
            f"{found['peak'] / 2**20:.0f}",
            str(found["status"]),
        ]
    ]
    columns = ["migrations", "seconds", "CPU seconds", "at 1,024 MB, seconds", "MB", "status"]
    command = f"python bench/rehearse_lambda.py --size {chosen.size}"
    text = heading(command, "18") + "\n" + table(columns, rows)
    publish("rehearse_lambda.py", text, write=chosen.write)


def measure(size: int) -> dict[str, float]:
    """Run the rehearsal as a child with the layer on its import path."""
    archive = build_layer(ROOT, ROOT / "layers" / "postgres", "PostgresLayer")
    with scratch("bench-rehearse") as folder, zipfile.ZipFile(archive) as layer:
        for entry in layer.infolist():
            Path(layer.extract(entry, folder)).chmod(entry.external_attr >> 16 & 0o777)
        project = write_project(folder / "migrations", size)
        artifact = pack(project, "1.0.0", folder / "1.0.0.zip")
        temporary = folder / "tmp"
        temporary.mkdir(mode=0o755)
        done = subprocess.run(
            [sys.executable, __file__, "--child", artifact],
            env={**os.environ, "PYTHONPATH": f"{folder / 'python'}", "TMPDIR": f"{temporary}"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return dict(json.loads(done.stdout))


def rehearsed(artifact: Path) -> dict[str, float | str]:
    """What the function does, between its import and its answer."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    memory = Memory()
    began = time.perf_counter()
    from turnback.rehearsal.proof import rehearse
    from turnback.rehearsal.server import shadow_server
    from turnback.rehearsal.shadow import Shadow

    project = open_artifact(artifact).project
    with shadow_server() as server:
        result = rehearse(project, project.migrations, Shadow.on_throw_away(server.url()))
    seconds = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": seconds,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "peak": memory.stop(),
        "status": "proven" if result.proven else "unproven",
    }


class Memory:
    """The most memory that this process and all that come from it have at once; Linux only."""

    def __init__(self) -> None:
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._peak = max(self._peak, sum(map(size_of, family())))

    def stop(self) -> int:
        """Stop looking; bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak


def family() -> list[int]:
    """This process, its children, and theirs."""
    found = [os.getpid()]
    for pid in found:
        with suppress(OSError):
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found += [int(child) for child in listed.split()]
    return found


def size_of(pid: int) -> int:
    """The memory of a process, what it shares counted by its part; 0 when it is gone."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
