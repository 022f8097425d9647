"""A command as a child process: how long it took, how much CPU and memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

# A process starts with the peak memory of the one that made it (getrusage(2): it is kept over an
# exec), so the commands are started from a Python with nothing in it.
LAUNCHER = """
import os, sys, time
output = int(sys.argv[1])
actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
cpu = usage.ru_utime + usage.ru_stime
print(os.waitstatus_to_exitcode(status), seconds, cpu, usage.ru_maxrss)
"""
# ru_maxrss is in kilobytes on Linux and in bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """A child process that ended well.

    Attributes:
        seconds: wall-clock time, from start to exit.
        cpu: user and system time, seconds.
        peak: the most memory it had at once (resident set), bytes.
        output: what it printed, on both of its streams.
    """

    seconds: float
    cpu: float
    peak: int
    output: str


def run(command: Sequence[str]) -> Finished:
    """Run a command to its end and measure the whole process; a failing one ends the benchmark."""
    with tempfile.TemporaryFile() as output:
        launched = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(output.fileno()), *command],
            check=True,
            pass_fds=[output.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    code, seconds, cpu, peak = launched.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n{text}")
    return Finished(float(seconds), float(cpu), int(peak) * RSS_UNIT, text)
