"""Big files of rows: check and up beside psql, with peak memory, and how fast Ctrl-C is.

One migration that makes a table, and one that fills it. psql gets the same file in one transaction
(-1). Memory is the most that the process had at once; the server's is that of its session.

    python bench/big_file.py --size 50 --write
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psycopg
from child import Finished, run
from databases import embedded_server, fresh_database, server_version
from page import heading, publish, table
from turnback.local.programs import binaries
from turnback.local.scratch import scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import digest

TURNBACK = str(Path(sys.executable).with_name("turnback"))
TABLE = (
    "CREATE TABLE people (id int, name text, mail text, amount numeric, note text, active boolean);"
)
HEAD = "INSERT INTO people (id, name, mail, amount, note, active) VALUES\n"
Row = Callable[[int], str]


def plain(number: int) -> str:
    """A row of constants."""
    return f"({number}, 'name {number}', 'user{number}@example.com', {number}.25, NULL, true)"


def umlaut(number: int) -> str:
    """A row with letters that are not ASCII."""
    return f"({number}, 'Zoë {number}', 'üser{number}@example.com', {number}.25, NULL, true)"


def computed(number: int) -> str:
    """A row that is more than constants."""
    return (
        f"({number}, lower('NAME {number}'), 'user{number}@example.com', 1.25, now()::text, true)"
    )


def copied(number: int) -> str:
    """A row of COPY."""
    return f"{number}\tname {number}\tuser{number}@example.com\t{number}.25\t\\N\tt"


# What a file is made of: the row, and how many of them are in a statement (0: all; None: COPY).
FILES: dict[str, tuple[Row, int | None]] = {
    "500 rows a statement": (plain, 500),
    "500 rows, not ASCII": (umlaut, 500),
    "500 rows, with functions": (computed, 500),
    "one row a statement": (plain, 1),
    "one statement": (plain, 0),
    "COPY FROM stdin": (copied, None),
}


def write_rows(file: Path, row: Row, rows: int | None, megabytes: float) -> None:
    """A file of INSERTs, or of one COPY, of about this size."""
    size, number = 0, 0
    with file.open("w", encoding="utf-8") as out:
        if rows is None:
            out.write("COPY people (id, name, mail, amount, note, active) FROM stdin;\n")
            while size < megabytes * 1e6:
                size += out.write(f"{row(number)}\n")
                number += 1
            out.write("\\.\n")
            return
        while size < megabytes * 1e6:
            count = rows or 1
            lines = ",\n".join(row(number + one) for one in range(count))
            before = HEAD if rows or not number else ",\n"
            size += out.write(f"{before}{lines}{';' if rows else ''}{chr(10) if rows else ''}")
            number += count
        out.write("" if rows else ";\n")


def write_project(folder: Path, row: Row, rows: int | None, megabytes: float) -> Path:
    """The two migrations; returns the file of rows."""
    files = {
        "sql/0001_people.sql": TABLE,
        "rollback/0001_rollback.sql": "DROP TABLE people;",
        "rollback/0002_rollback.sql": "DELETE FROM people;",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    big = folder / "sql/0002_rows.sql"
    write_rows(big, row, rows, megabytes)
    paths = [*files, "sql/0002_rows.sql"]
    sums = [f"{digest((folder / path).read_bytes())}  {path}\n" for path in sorted(paths)]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return big


def by_psql(server: EmbeddedServer, file: Path) -> Finished:
    """psql, with the same file in one transaction."""
    url = server.socket_url(fresh_database(server))
    with psycopg.connect(url) as connection:
        connection.execute(TABLE.encode())
    return run([str(binaries() / "psql"), "-Xq1f", str(file), "-v", "ON_ERROR_STOP=1", url])


@contextmanager
def session_memory(server: EmbeddedServer, database: str) -> Iterator[list[int]]:
    """Watches the sessions of a database; the list then has the most that one had, in MB."""
    found, end = [0], threading.Event()

    def watch() -> None:
        with psycopg.connect(server.socket_url(), autocommit=True) as connection:
            while not end.wait(0.1):
                pids = connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = %s", [database]
                )
                for (pid,) in pids.fetchall():
                    found[0] = max(found[0], _peak_mb(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


def _peak_mb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) // 1024 if lines else 0


def interrupted(command: list[str], after: float) -> float:
    """Seconds from Ctrl-C to the end of a command."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        time.sleep(after)
        child.send_signal(signal.SIGINT)
        began = time.perf_counter()
        child.wait()
    if child.returncode != 130:
        raise SystemExit(f"{command} ended with {child.returncode} before Ctrl-C")
    return time.perf_counter() - began


def measure(
    server: EmbeddedServer, folder: Path, name: str, megabytes: float, repeat: int
) -> list[str]:
    """A row of the table."""
    row, rows = FILES[name]
    file = write_project(folder, row, rows, megabytes)
    check = [TURNBACK, "check", "--dir", str(folder)]
    checked, applied, theirs, sessions = [], [], [], []
    for _ in range(repeat):
        database = fresh_database(server)
        up = [TURNBACK, "up", "--dir", str(folder), "--database-url", server.socket_url(database)]
        checked.append(run(check))
        with session_memory(server, database) as session:
            applied.append(run(up))
        sessions.append(session[0])
        theirs.append(by_psql(server, file))
        with psycopg.connect(server.socket_url(database), autocommit=True) as connection:
            connection.execute("TRUNCATE people")
    empty = server.socket_url(fresh_database(server))
    ctrl_c = max(
        interrupted(check, min(c.seconds for c in checked) / 2),
        interrupted(
            [TURNBACK, "up", "--dir", str(folder), "--database-url", empty],
            min(c.seconds for c in applied) * 0.7,
        ),
    )
    ours, psql = (median(one.seconds for one in runs) for runs in (applied, theirs))
    return [
        name,
        f"{file.stat().st_size / 1e6:,.0f}",
        f"{median(one.seconds for one in checked):.1f} s",
        f"{ours:.1f} s",
        f"{psql:.1f} s",
        f"{ours / psql:.2f}",
        f"{max(one.peak for one in checked + applied) / 1e6:,.0f} MB",
        f"{max(one.peak for one in theirs) / 1e6:,.0f} MB",
        f"{max(sessions):,} MB",
        f"{ctrl_c:.1f} s",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=50, help="megabytes of each file")
    parser.add_argument("--large", type=float, default=500, help="of one more, 0 for none")
    parser.add_argument("--only", choices=FILES, help="one kind of file")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    jobs = [(name, arguments.size) for name in FILES if arguments.only in (None, name)]
    if arguments.large:
        jobs.append((next(iter(FILES)), arguments.large))
    with embedded_server() as server:
        rows = []
        for number, (name, size) in enumerate(jobs):
            with scratch(f"big{number}") as folder:
                rows.append(measure(server, folder, name, size, arguments.repeat))
        text = heading(
            f"python bench/big_file.py --size {arguments.size:g}", server_version(server)
        )
    columns = [
        *("file", "MB", "`check`", "`up`", "`psql -1`", "up / psql"),
        *("most memory", "psql's", "the session's", "Ctrl-C"),
    ]
    publish("big_file.py", f"{text}\n{table(columns, rows)}", write=arguments.write)


if __name__ == "__main__":
    main()
