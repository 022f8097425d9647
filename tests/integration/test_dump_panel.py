"""A panel of databases, one for each kind of object: backed up, changed, restored, and compared.

Each file of dump_panel/ makes one database. After a restore it must be what it was, by pg_dump and
by a hash of the rows of each table; what differs must be in the list of limits of its backup.

The lines at the head of a file, ``-- WORD: VALUE``, say what is special about it:

- ``superuser``: made, backed up and restored by a superuser, not by the owner of the database.
- ``from``: the version of PostgreSQL that it needs. ``gate``: it is in every run of the tests.
- ``named``, ``database``: the name of the database, and options of CREATE DATABASE.
- ``announced``: a limit that the backup lists, as a regular expression.
- ``differs``: lines of pg_dump that may differ for it. ``elsewhere``: and on another server.
- ``refused``: the backup refuses it; ``refuses``: the restore does.
- ``unmade``: what the restore reports that it could not make.
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from turnback.errors import DatabaseRefused, RestoreFailed, SnapshotFailed
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.fill import Filling

from tests.dumps import Memory, dump, request, restore
from tests.filled import fill
from tests.other_servers import postgres

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ["18", "15", "15-to-18"]
FILES = sorted((Path(__file__).parent / "dump_panel").glob("*.sql"))
OWNER, PASSWORD = "panel_owner", "owns-it"
ROLES = f"""
CREATE ROLE panel_app; CREATE ROLE panel_reader; CREATE ROLE "panel ""odd"" rôle";
CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{PASSWORD}'
    IN ROLE panel_app, "panel ""odd"" rôle", pg_read_all_data;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE panel_space LOCATION '';
"""
# A build of PostgreSQL need not have everything.
LACKING = re.compile(r"unsupported XML feature|is not supported in this build")
# In the body of a view, servers of before 16 name the table of each column.
QUALIFIED = re.compile(r"\b[a-z_]+\.(?=[a-z_])")
# Of the session that compares: what the database sets must not change how rows are shown.
SHOWN_AS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": 0,
        "search_path": "pg_catalog",
        "client_encoding": "UTF8",
        "quote_all_identifiers": "off",
        "array_nulls": "on",
        "DateStyle": "ISO",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": 1,
        "TimeZone": "UTC",
        "default_transaction_isolation": "read\\ committed",
        "idle_in_transaction_session_timeout": 0,
    }.items()
)


@dataclass(frozen=True)
class Case:
    """A database of the panel, by its file."""

    path: Path

    @cached_property
    def _parts(self) -> list[str]:
        return re.split(r"(?m)^-- (?:changed|after)\n", self.path.read_text())

    def all(self, word: str) -> list[str]:
        """The values of this word at the head of the file."""
        return re.findall(rf"(?m)^-- {word}(?:: (.*))?$", self._parts[0])

    def one(self, word: str, default: str = "") -> str:
        return next(iter(self.all(word)), default)

    @property
    def name(self) -> str:
        return self.one("named", f"panel_{self.path.stem}")

    @property
    def by_superuser(self) -> bool:
        return bool(self.all("superuser"))

    @property
    def made(self) -> str:
        return self._parts[0]

    @property
    def changed(self) -> str:
        return self._parts[1]

    @property
    def after(self) -> str:
        return self._parts[2] if len(self._parts) > 2 else ""


@dataclass(frozen=True)
class Server:
    """A server of the panel, by its address without a database."""

    version: int
    base: str

    def url(self, name: str, role: str | None = None) -> str:
        base = self.base
        if role:
            base = re.sub("//.*@", f"//{role}:{PASSWORD}@", base)
        return f"{base}/{quote(name, safe='')}"

    def run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, case: Case) -> None:
        options = case.one("database")
        owner = "postgres" if case.by_superuser else OWNER
        try:
            self.run(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {} {}").format(
                    sql.Identifier(case.name), sql.Identifier(owner), sql.SQL(options)
                )
            )
        except psycopg.errors.FeatureNotSupported as error:
            pytest.skip(str(error))

    def script(self, name: str, text: str, role: str | None, *, strict: bool = True) -> None:
        """Run a script, by psql."""
        begin = f"SET SESSION AUTHORIZATION {role};\n" if role else ""
        done = subprocess.run(
            [
                binaries() / "psql",
                "-X",
                "-q",
                "-v",
                f"ON_ERROR_STOP={int(strict)}",
                "-d",
                self.url(name),
            ],
            input=begin + text,
            env=clean_environment() | {"PGCLIENTENCODING": "UTF8"},
            capture_output=True,
            text=True,
        )
        if lacking := re.search(
            r"unsupported XML feature|not supported in this build", done.stderr
        ):
            pytest.skip(lacking[0])
        assert done.returncode == 0 or not strict, done.stderr

    def picture(self, name: str) -> list[str]:
        """All that pg_dump says of a database, and a hash of the rows of each table."""
        with psycopg.connect(self.url(name)) as connection:
            encoding = connection.info.parameter_status("server_encoding")
        done = subprocess.run(
            [binaries() / "pg_dump", f"--encoding={encoding}", "-d", self.url(name)],
            env=clean_environment() | {"PGOPTIONS": SHOWN_AS},
            capture_output=True,
            check=True,
        )
        lines = done.stdout.decode(errors="backslashreplace").splitlines()
        said = re.compile(r"\\(un)?restrict |-- (Dumped|Started|Completed)")
        return [line for line in lines if not said.match(line)] + list(self._rows(name))

    def _rows(self, name: str) -> Iterator[str]:
        with psycopg.connect(self.url(name), options=SHOWN_AS) as connection:
            for (table,) in connection.execute(
                "SELECT format('%I.%I', nspname, relname) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'S') "
                "AND relispopulated AND nspname NOT IN ('pg_catalog', 'information_schema') "
                "AND nspname NOT LIKE 'pg_toast%' ORDER BY 1"
            ).fetchall():
                columns = (
                    "ROW(last_value, is_called)::text"
                    if _is_sequence(connection, table)
                    else "t::text"
                )
                row = connection.execute(
                    f"SELECT count(*), md5(string_agg(md5({columns}::bytea), '' "
                    f"ORDER BY md5({columns}::bytea))) FROM {table} t".encode()
                ).fetchone()
                yield f"rows of {table}: {row}"

    def drop(self, name: str, after: str) -> None:
        """Drop a database of the panel, and what restores left beside it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [name]
            ).fetchall()
            for (left,) in found:
                quoted = sql.Identifier(left)
                if after:
                    opened = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(quoted)
                    connection.execute(opened)
                    self.script(left, after, None, strict=False)
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))


def _is_sequence(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT relkind = 'S' FROM pg_class WHERE oid = %s::regclass", [table])
    return bool((row.fetchone() or (False,))[0])


@pytest.fixture(scope="session")
def newest(server: EmbeddedServer, admin: psycopg.Connection[Any]) -> Server:
    """PostgreSQL 18, with the roles and the tablespace of the panel."""
    for statement in ROLES.split(";")[:-1]:
        admin.execute(statement.encode())
    return Server(18, server.url("").rstrip("/"))


@pytest.fixture(scope="session")
def oldest() -> Iterator[Server]:
    """PostgreSQL 15, likewise."""
    with postgres(15) as base:
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            for statement in ROLES.split(";")[:-1]:
                connection.execute(statement.encode())
        yield Server(15, base)


def comes_back(case: Case, source: Server, target: Server) -> None:
    """Make the database, back it up, change it, restore it, compare."""
    role = None if case.by_superuser else OWNER
    try:
        source.create(case)
        source.script(case.name, case.made, role)
        before, store = source.picture(case.name), Memory()
        try:
            record = dump(source.url(case.name, role), store)
        except SnapshotFailed as error:
            assert case.all("refused"), error
            assert re.search(case.one("refused"), error.message)
            return
        assert not case.all("refused")
        announced = case.all("announced")
        for pattern in announced:
            assert any(re.search(pattern, limit) for limit in record.limits), record.limits
        for limit in record.limits:
            assert any(re.search(pattern, limit) for pattern in announced), limit
        if target is source:
            source.script(case.name, case.changed, role)
            assert source.picture(case.name) != before
        else:
            target.create(case)
        is_restored(case, record, store, before, source, target)
    finally:
        for one in {source, target}:
            one.drop(case.name, case.after)


def is_restored(
    case: Case, record: DumpRecord, store: Memory, before: list[str], source: Server, target: Server
) -> None:
    """Restore it, and compare."""
    role, elsewhere = None if case.by_superuser else OWNER, target is not source
    try:
        progress = restore(target.url(case.name, role), store, request(record))
    except (RestoreFailed, DatabaseRefused) as error:
        if lacking := LACKING.search(error.message):
            pytest.skip(lacking[0])
        assert not elsewhere and case.all("refuses"), error
        assert re.search(case.one("refuses"), error.message)
        return
    assert elsewhere or not case.all("refuses")
    unmade = case.all("unmade elsewhere" if elsewhere else "unmade") or case.all("unmade")
    for pattern in unmade:
        assert re.search(pattern, progress.detail)
    assert unmade or "not made" not in progress.detail, progress.detail
    after = target.picture(case.name)
    if elsewhere:
        before, after = (
            [QUALIFIED.sub("", line) if line.startswith(" ") else line for line in text]
            for text in (before, after)
        )
    expected = case.all("differs") + (case.all("elsewhere") if elsewhere else [])
    differences = [
        line[2:]
        for line in difflib.ndiff(before, after)
        if line.startswith(("- ", "+ ")) and not any(re.search(one, line[2:]) for one in expected)
    ]
    assert differences == []


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", [path for path in FILES if Case(path).all("gate")], ids=ids)
def test_a_database_comes_back_as_it_was(path: Path, newest: Server) -> None:
    comes_back(Case(path), newest, newest)


@pytest.mark.slow
@pytest.mark.parametrize("versions", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_database_of_the_panel_comes_back_or_its_backup_says_what_does_not(
    path: Path, versions: str, newest: Server, request: pytest.FixtureRequest
) -> None:
    case = Case(path)
    made_on = 18 if versions == "18" else 15
    if not int(case.one("from", "15")) <= made_on <= int(case.one("until", "18")):
        pytest.skip(f"PostgreSQL {made_on} does not have it")
    source = newest if versions == "18" else request.getfixturevalue("oldest")
    comes_back(case, source, newest if versions == "15-to-18" else source)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=ids)
def test_what_depends_on_the_rows_is_made_a_second_time_where_a_restore_was_cut_off(
    path: Path, newest: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = Filling.rest

    def twice(filling: Filling) -> list[str]:
        rest(filling)
        return rest(filling)

    monkeypatch.setattr(Filling, "rest", twice)
    case = Case(path)
    if int(case.one("until", "18")) < 18:
        pytest.skip("PostgreSQL 18 does not have it")
    comes_back(case, newest, newest)


# Real schemas


def real_schema(name: str) -> str:
    """The migrations of a project in one script, as far as they can be applied."""
    if name == "example":
        files = sorted((ROOT / "migrations" / "sql").iterdir())
        return "".join(file.read_text() for file in files)
    folder = ROOT.parent / "shared" / "corpora" / name
    if not folder.is_dir():
        pytest.skip(f"the corpus '{name}' is not there: ../shared/corpora/{name}")
    known = json.loads((folder / "result.json").read_text())["migrations"]
    found = {file.name.split("_")[0]: file for file in (folder / "sql").iterdir()}
    return "\n".join(found[one["seq"]].read_text() for one in known)


@pytest.mark.slow
@pytest.mark.parametrize("versions", VERSIONS)
@pytest.mark.parametrize("name", ["cratesio", "gitness", "example"])
def test_a_real_schema_filled_with_rows_comes_back(
    name: str, versions: str, newest: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = newest if versions == "18" else request.getfixturevalue("oldest")
    target = newest if versions == "15-to-18" else source
    path = tmp_path / f"{name}.sql"
    # PostgreSQL 18 keeps the names of NOT NULL constraints, and no version writes the list of an IN
    # over varchar the same way again.
    path.write_text(
        "-- superuser\n-- elsewhere: NOT NULL\n-- differs: = ANY \\(.*::text\n"
        f"{real_schema(name)}\n-- changed\n"
    )
    case = Case(path)
    try:
        source.create(case)
        source.script(case.name, case.made, None, strict=False)
        tables, filled = fill(source.url(case.name))
        assert filled > tables * 0.6
        before, store = source.picture(case.name), Memory()
        record = dump(source.url(case.name), store)
        if target is source:
            with psycopg.connect(source.url(case.name)) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
        else:
            target.create(case)
        is_restored(case, record, store, before, source, target)
    finally:
        for one in {source, target}:
            one.drop(case.name, "")
