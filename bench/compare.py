"""The first ten minutes with each tool: the same two migrations and the same mistake.

Each tool is installed from its registry, gets a new folder and a new database of one server, and is
used as its own manual begins. What docs/compare.md says of its output is found in it by rules that
are the same for all. Of Prisma it is the engine in WebAssembly, with its driver adapter: the native
one is not in npm.

    python bench/compare.py --write
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psycopg
from databases import embedded_server, fresh_database, server_version
from page import heading, publish, table
from turnback.local.server import EmbeddedServer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.fixtures.adopt.make.prisma import (  # noqa: E402 (the folder was just made known)
    LOCK,
    SCHEMA,
    SETTINGS,
    WITHOUT_ENGINES,
)

PAGE = ROOT / "docs/compare.md"
HOME = ROOT / ".turnback/compare"
NPM = ("dbmate@2.36.0", "node-pg-migrate@9.0.0", "pg@8", "graphile-migrate@1.4.1")
PRISMA = ("prisma@6.19.0", "@prisma/adapter-pg@6.19.0")
PIP = ("alembic==1.20.1", "psycopg[binary]", "yoyo-migrations==9.0.0", "psycopg2-binary")
ROUNDS = 3

MISTAKE = ("emial", "email")
UP = """\
CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text NOT NULL
);
CREATE INDEX users_email_idx ON users (emial);
"""
DOWN = "DROP TABLE users;\n"
SECOND_UP = """\
ALTER TABLE users ADD COLUMN city text;
CREATE INDEX users_id_email_idx ON users (id, email);
"""
# It forgets the index.
SECOND_DOWN = "ALTER TABLE users DROP COLUMN city;\n"


@dataclass(slots=True)
class Answer:
    """What a command printed, its exit code and its time in seconds."""

    code: int
    said: str
    seconds: float


@dataclass(slots=True)
class Project:
    """A tool in a folder of its own.

    Attributes:
        folder: where its commands run.
        environment: what its manual says to set.
        commands: all that were typed until the first migration was applied.
    """

    folder: Path
    environment: Mapping[str, str]
    commands: list[str] = field(default_factory=list)

    def run(self, *command: str | Path, timeout: float = 60) -> Answer:
        """Run a command of the tool."""
        began = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={**os.environ, **self.environment, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return Answer(done.returncode, done.stdout, time.perf_counter() - began)

    def begin(self, *command: str | Path) -> None:
        """Run a command of the beginning, which must succeed."""
        self.commands.append(" ".join([Path(command[0]).name, *map(str, command[1:])]))
        answer = self.run(*command)
        if answer.code:
            raise SystemExit(f"{command}: {answer.said}")

    def only(self, pattern: str) -> Path:
        """The newest file of this pattern, which the tool has just made."""
        return max(self.folder.glob(pattern), key=lambda path: path.name)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and how it is used.

    Attributes:
        name: as the page calls it.
        start: makes the project; the database's address is given.
        write: writes a migration with this name, SQL and rollback; returns the file.
        up: applies.
        status, down: show and roll back the last one, where the tool can.
        after_error: what must be said before a migration that failed can be applied.
        timed: whether its times say something of it.
    """

    name: str
    start: Callable[[Project, str], None]
    write: Callable[[Project, str, str, str], Path]
    up: Sequence[str | Path]
    status: Sequence[str | Path] | None
    down: Sequence[str | Path] | None
    environment: Callable[[str], dict[str, str]] = lambda url: {"DATABASE_URL": url}
    after_error: Callable[[Path], Sequence[str | Path]] | None = None
    timed: bool = True


BIN, PY = HOME / "node_modules/.bin", HOME / "venv/bin"
TURNBACK = Path(sys.executable).with_name("turnback")


def turnback() -> Tool:
    """turnback: two files a migration."""

    def write(project: Project, name: str, up: str, down: str) -> Path:
        project.begin(TURNBACK, "generate", name)
        file = project.only("migrations/sql/*.sql")
        file.write_text(up)
        project.only("migrations/rollback/*.sql").write_text(down)
        return file

    return Tool(
        "turnback",
        lambda project, _: project.begin(TURNBACK, "init"),
        write,
        (TURNBACK, "up"),
        (TURNBACK, "status"),
        (TURNBACK, "down", "--yes"),
    )


def dbmate() -> Tool:
    """dbmate: one file with two sections. It dumps the schema after each command, left out here."""
    program = next(HOME.glob("node_modules/@dbmate/*/bin/dbmate"))

    def write(project: Project, name: str, up: str, down: str) -> Path:
        project.begin(program, "new", name)
        file = project.only("db/migrations/*.sql")
        file.write_text(f"-- migrate:up\n{up}\n-- migrate:down\n{down}")
        return file

    return Tool(
        "dbmate",
        lambda *_: None,
        write,
        (program, "--no-dump-schema", "up"),
        (program, "status"),
        (program, "--no-dump-schema", "rollback"),
        lambda url: {"DATABASE_URL": f"{url}?sslmode=disable"},
    )


def node_pg_migrate() -> Tool:
    """node-pg-migrate with SQL files: one file with two sections."""

    def write(project: Project, name: str, up: str, down: str) -> Path:
        project.begin(BIN / "node-pg-migrate", "create", name, "-j", "sql")
        file = project.only("migrations/*.sql")
        file.write_text(f"-- Up Migration\n{up}\n-- Down Migration\n{down}")
        return file

    program = BIN / "node-pg-migrate"
    return Tool("node-pg-migrate", lambda *_: None, write, (program, "up"), None, (program, "down"))


def graphile_migrate() -> Tool:
    """graphile-migrate: one file that is run again on each save, and committed when it is right."""
    program = BIN / "graphile-migrate"

    def start(project: Project, _: str) -> None:
        project.begin(program, "init")

    def write(project: Project, name: str, up: str, down: str) -> Path:  # noqa: ARG001
        file = project.folder / "migrations/current.sql"
        if "users_id_email_idx" in up:
            # It is run again on each save, so it must begin by removing what it makes.
            project.begin(program, "commit", "--message", "add_users")
            up = up.replace("ADD COLUMN", "ADD COLUMN IF NOT EXISTS")
            file.write_text(f"DROP INDEX IF EXISTS users_id_email_idx;\n{up}")
        else:
            file.write_text(f"DROP TABLE IF EXISTS users;\n{up}")
        return file

    return Tool(
        "graphile-migrate", start, write, (program, "watch", "--once"), (program, "status"), None
    )


def alembic() -> Tool:
    """Alembic: Python files; here with the SQL of the others."""
    program = PY / "alembic"

    def start(project: Project, url: str) -> None:
        project.begin(program, "init", "alembic")
        settings = project.folder / "alembic.ini"
        driver = url.replace("postgresql:", "postgresql+psycopg:").replace("%", "%%")
        text = re.sub("(?m)^sqlalchemy.url = .*", lambda _: f"sqlalchemy.url = {driver}",
                      settings.read_text())  # fmt: skip
        settings.write_text(text)
        project.commands.append("(edit alembic.ini)")

    def write(project: Project, name: str, up: str, down: str) -> Path:
        before = set(project.folder.glob("alembic/versions/*.py"))
        project.begin(program, "revision", "-m", name)
        [file] = set(project.folder.glob("alembic/versions/*.py")) - before
        head, _, _ = file.read_text().partition("def upgrade()")
        file.write_text(
            f'{head}def upgrade() -> None:\n    op.execute("""{up}""")\n\n\n'
            f'def downgrade() -> None:\n    op.execute("""{down}""")\n'
        )
        return file

    return Tool(
        "Alembic",
        start,
        write,
        (program, "upgrade", "head"),
        (program, "current"),
        (program, "downgrade", "-1"),
    )


def yoyo() -> Tool:
    """yoyo with SQL files: two files a migration."""
    program = PY / "yoyo"

    def start(project: Project, url: str) -> None:
        address = url.replace("%", "%%")
        (project.folder / "yoyo.ini").write_text(
            f"[DEFAULT]\nsources = migrations\ndatabase = {address}\nbatch_mode = on\n"
        )
        (project.folder / "migrations").mkdir()
        project.commands.append("(write yoyo.ini)")

    def write(project: Project, name: str, up: str, down: str) -> Path:
        project.begin(program, "new", "--sql", "-m", name)
        file = project.only("migrations/*.sql")
        file.write_text(up)
        file.with_suffix(".rollback.sql").write_text(down)
        return file

    return Tool("yoyo", start, write, (program, "apply"), (program, "list"), (program, "rollback"))


def prisma() -> Tool:
    """Prisma Migrate with SQL written by hand, as its manual says of what it cannot derive."""
    program = BIN / "prisma"

    def start(project: Project, _: str) -> None:
        (project.folder / "prisma").mkdir()
        (project.folder / "prisma/schema.prisma").write_text(SCHEMA)
        (project.folder / "prisma.config.ts").write_text(SETTINGS)
        # Node looks for the packages above the file.
        (project.folder / "node_modules").symlink_to(HOME / "node_modules")
        project.commands += ["(write schema.prisma)", "(write prisma.config.ts)"]

    def write(project: Project, name: str, up: str, down: str) -> Path:  # noqa: ARG001
        number = len(list(project.folder.glob("prisma/migrations/*_*"))) + 1
        file = project.folder / f"prisma/migrations/2026010100000{number}_{name}/migration.sql"
        file.parent.mkdir(parents=True)
        file.write_text(up)
        (project.folder / "prisma/migrations/migration_lock.toml").write_text(LOCK)
        if number == 1:
            project.commands.append(f"mkdir -p prisma/migrations/…_{name}")
        return file

    def environment(url: str) -> dict[str, str]:
        return {
            "DATABASE_URL": url,
            "PRISMA_SCHEMA": "prisma/schema.prisma",
            "PRISMA_MIGRATIONS": "prisma/migrations",
            **WITHOUT_ENGINES,
        }

    return Tool(
        "Prisma",
        start,
        write,
        (program, "migrate", "deploy"),
        (program, "migrate", "status"),
        None,
        environment,
        lambda file: (program, "migrate", "resolve", "--rolled-back", file.parent.name),
        # Its engine in WebAssembly leaves a timer of ten seconds, which Node waits for.
        timed=False,
    )


@dataclass(slots=True)
class Figures:
    """What was seen of a tool."""

    name: str
    commands: list[str]
    wrong: Answer
    file_named: bool
    line_named: bool
    place_named: bool
    remains: bool
    seconds: dict[str, list[float]]
    edit_noticed: bool
    leftover: bool | None
    leftover_named: bool
    rehearsed: str


def tables(server: EmbeddedServer, database: str) -> list[str]:
    """The relations of the public schema that begin with ``users``."""
    with psycopg.connect(server.socket_url(database)) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relname LIKE 'users%' ORDER BY 1"
        ).fetchall()
    return [str(name) for (name,) in rows]


def measure(tool: Tool, server: EmbeddedServer, folder: Path) -> Figures:
    """Use a tool as its manual begins, with a mistake on the way."""
    shutil.rmtree(folder, ignore_errors=True)
    database = fresh_database(server)
    url = f"{server.url().rsplit('/', 1)[0]}/{database}"
    folder.mkdir(parents=True)
    environment = tool.environment(url)
    if tool.name == "graphile-migrate":
        shadow = f"{server.url().rsplit('/', 1)[0]}/{fresh_database(server)}"
        environment |= {"SHADOW_DATABASE_URL": shadow, "ROOT_DATABASE_URL": server.url()}
    project = Project(folder, environment)
    tool.start(project, url)
    file = tool.write(project, "add_users", UP, DOWN)
    wrong = project.run(*tool.up)
    lines = file.read_text().splitlines()
    line, text = next((n, text) for n, text in enumerate(lines, 1) if MISTAKE[0] in text)
    column = text.index(MISTAKE[0]) + 1
    remains = "users" in tables(server, database)
    file.write_text(file.read_text().replace(*MISTAKE))
    if tool.after_error:
        project.begin(*tool.after_error(file))
    right = project.run(*tool.up)
    if right.code or "users_email_idx" not in tables(server, database):
        raise SystemExit(f"{tool.name}: {right.said}")
    commands = [*project.commands, " ".join([Path(tool.up[0]).name, *map(str, tool.up[1:])])]
    times = {"up": [right.seconds], "again": [project.run(*tool.up).seconds]}
    if tool.status:
        times["status"] = [project.run(*tool.status).seconds]
    # A second migration, whose rollback forgets an index. dbmate numbers them by seconds.
    time.sleep(1.1)
    tool.write(project, "add_city", SECOND_UP, SECOND_DOWN)
    second = project.run(*tool.up)
    if second.code or "users_id_email_idx" not in tables(server, database):
        raise SystemExit(f"{tool.name}: {second.said}")
    rehearsed = ""
    if tool.name == "turnback":
        rehearsed = project.run(TURNBACK, "rehearse", "2", "--shadow-url", server.url()).said
    leftover, leftover_named = None, False
    if tool.down:
        answer = project.run(*tool.down)
        leftover_named = "users_id_email_idx" in answer.said
        if answer.code and not leftover_named:
            raise SystemExit(f"{tool.name}: {answer.said}")
        times["down"] = [answer.seconds]
        leftover = "users_id_email_idx" in tables(server, database)
        with psycopg.connect(server.socket_url(database)) as connection:
            connection.execute("DROP INDEX users_id_email_idx")
    # The applied file is edited. graphile-migrate keeps what was committed elsewhere.
    applied = file
    if tool.name == "graphile-migrate":
        applied = project.only("migrations/committed/*.sql")
    applied.write_text(applied.read_text().replace("email text NOT NULL", "email varchar(9)"))
    deploy = (BIN / "graphile-migrate", "migrate") if applied is not file else tool.up
    edited = project.run(*deploy)
    said, pattern = wrong.said, re.escape(file.name)
    return Figures(
        tool.name,
        commands,
        wrong,
        # Prisma's files all have one name, and their folders the migration's.
        file_named=any(name in said for name in (file.name, file.stem, file.parent.name)),
        line_named=bool(re.search(rf"\bline:? ?{line}\b|{pattern}:{line}\b", said, re.I)),
        # As a number, or by a sign below it.
        place_named=bool(re.search(rf":{line}:{column}\b|{MISTAKE[0]}.*\n *\^", said)),
        remains=remains,
        seconds=times if tool.timed else {},
        edit_noticed=edited.code != 0,
        leftover=leftover,
        leftover_named=leftover_named,
        rehearsed=rehearsed,
    )


def install() -> None:
    """Install the tools that are not there."""
    HOME.mkdir(parents=True, exist_ok=True)
    stamp = HOME / "made-from"
    wanted = " ".join((*NPM, *PRISMA, *PIP))
    if not stamp.exists() or stamp.read_text() != wanted:
        (HOME / "package.json").write_text('{"private": true}\n')
        npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", *NPM, *PRISMA]
        environment = os.environ | WITHOUT_ENGINES
        subprocess.run(npm, cwd=HOME, check=True, stdout=subprocess.DEVNULL, env=environment)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", HOME / "venv"], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", HOME / "venv", *PIP], check=True
        )
        stamp.write_text(wanted)


def yes(value: bool) -> str:
    return "yes" if value else "no"


def seconds(times: Sequence[float]) -> str:
    return f"{median(times):.2f} s" if times else "–"


def shown(answer: Answer, folder: Path) -> str:
    """What a tool said of the mistake, without the folder and colours; long stacks are cut."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", answer.said).replace(f"{folder}/", "")
    text = text.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) > 16:
        lines = [*lines[:8], f"… {len(lines) - 14} lines …", *lines[-6:]]
    return "\n".join(line if len(line) <= 120 else f"{line[:117]}…" for line in lines)


def report(found: Sequence[Figures]) -> str:
    """The table, and what was typed."""
    columns = ["", *(f.name for f in found)]

    def row(what: str, value: Callable[[Figures], str]) -> list[str]:
        return [what, *(value(f) for f in found)]

    rows = [
        row("commands and edits until the first is applied", lambda f: str(len(f.commands))),
        row("apply one migration", lambda f: seconds(f.seconds.get("up", []))),
        row("apply, with nothing to do", lambda f: seconds(f.seconds.get("again", []))),
        row("status", lambda f: seconds(f.seconds.get("status", []))),
        row("roll back the last one", lambda f: seconds(f.seconds.get("down", []))),
        row("the error names the file", lambda f: yes(f.file_named)),
        row("… the line in it", lambda f: yes(f.line_named)),
        row("… the place in the line", lambda f: yes(f.place_named)),
        row("the exit code is not 0", lambda f: yes(f.wrong.code != 0)),
        row("the failed migration left a table", lambda f: yes(f.remains)),
        row("an edited, applied file is refused", lambda f: yes(f.edit_noticed)),
        row(
            "the rollback left an index behind",
            lambda f: "–" if f.leftover is None else yes(f.leftover),
        ),
        row("… and says so", lambda f: "–" if f.leftover is None else yes(f.leftover_named)),
    ]
    parts = [table(columns, rows), "\n## What was typed\n\n"]
    parts += [f"- {f.name}: {', '.join(f'`{one}`' for one in f.commands)}\n" for f in found]
    return "".join(parts)


def answers(found: Sequence[Figures], folder: Path) -> str:
    """What each tool said of the mistake, and the rehearsal of the forgotten index."""
    parts = [
        f"\n{f.name}, lines of output {len(f.wrong.said.splitlines())}:\n\n"
        f"```\n{shown(f.wrong, folder / f.name)}\n```\n"
        for f in found
    ]
    parts.append("\n`turnback rehearse`, of the forgotten index:\n\n")
    parts += [f"```\n{f.rehearsed.strip()}\n```\n" for f in found if f.rehearsed]
    return "".join(parts)


def main() -> None:
    """Measure every tool that is here, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    options = parser.parse_args()
    # A job of CI gets other answers of some.
    os.environ.pop("CI", None)
    install()
    folder = HOME / "projects"
    shutil.rmtree(folder, ignore_errors=True)
    makers = (turnback, dbmate, node_pg_migrate, graphile_migrate, alembic, yoyo, prisma)
    with embedded_server() as server:
        found = [measure(make(), server, folder / make().name) for make in makers]
        for _ in range(ROUNDS - 1):
            for figures, make in zip(found, makers, strict=True):
                again = measure(make(), server, folder / figures.name)
                for job, times in again.seconds.items():
                    figures.seconds[job] += times
        head = heading("python bench/compare.py", server_version(server))
    publish("compare.py", f"{head}\n{report(found)}", write=options.write, page=PAGE)
    publish("what they say", answers(found, folder), write=options.write)


if __name__ == "__main__":
    main()
