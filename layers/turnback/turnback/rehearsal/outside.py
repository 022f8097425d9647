"""What migrations make outside their database: roles, memberships, settings, tablespaces.

They belong to the server, so they outlive a shadow database and disturb the next one. Others may
use the server too: only what a script of the project names is removed, and only if it did not exist
before. A file keeps the names, for the next rehearsal after one that was killed.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import ConfigurationError
from turnback.sql.quoting import identifier, literal

_NAME = r'"(?:[^"]|"")+"|[\w$]+'
_CREATE = re.compile(
    rf"\bCREATE\s+(ROLE|USER|GROUP|TABLESPACE)\s+(?!MAPPING\b)({_NAME})", re.IGNORECASE
)
_ALL = (
    "SELECT 'ROLE', rolname, NULL, NULL FROM pg_catalog.pg_roles "
    "UNION ALL SELECT 'TABLESPACE', spcname, NULL, NULL FROM pg_catalog.pg_tablespace "
    "UNION ALL SELECT 'MEMBER', pg_catalog.pg_get_userbyid(roleid), "
    "pg_catalog.pg_get_userbyid(member), NULL FROM pg_catalog.pg_auth_members "
    "UNION ALL SELECT 'SETTING', pg_catalog.pg_get_userbyid(setrole), "
    "pg_catalog.split_part(s, '=', 1), pg_catalog.substr(s, pg_catalog.strpos(s, '=') + 1) "
    "FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS s "
    "WHERE setdatabase = 0 AND setrole <> 0"
)

Thing = tuple[str, ...]


@dataclass(slots=True)
class Outside:
    """What a shadow database may leave on its server.

    Attributes:
        database: the name of the shadow database.
        created: roles and tablespaces that a script creates and that did not exist before.
        texts: the scripts; None where nothing but ``created`` is known.
        before: what existed before.
        left: what could not be removed, with the server's reason.
    """

    database: str
    created: list[Thing]
    texts: str | None = None
    before: set[Thing] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    @classmethod
    def record(cls, admin: Connection, database: str, scripts: Iterable[str]) -> Outside:
        """Record what exists, before the first script runs; the file is for a killed rehearsal."""
        texts = "\n".join(scripts)
        before = _all(admin)
        found = {
            ("TABLESPACE" if kind.upper() == "TABLESPACE" else "ROLE", _plain(name))
            for kind, name in _CREATE.findall(texts)
        }
        existing = {thing[:2] for thing in before}
        recorded = cls(database, sorted(found - existing), texts, before)
        _file(database).write_text(json.dumps(recorded.created))
        return recorded

    @classmethod
    def recorded(cls, database: str) -> Outside:
        """What a killed rehearsal recorded on this machine; nothing if it ran on another."""
        try:
            created = json.loads(_file(database).read_text())
        except FileNotFoundError:
            created = []
        return cls(database, [tuple(thing) for thing in created])

    def remove(self, admin: Connection) -> None:
        """Remove what is new, after the shadow database was dropped."""
        statements = dict(self._statements(_all(admin)))
        failed: dict[str, str] = {}
        # A role that granted something can be dropped only after the role that has it.
        while True:
            tried = {what: _try(admin, sql) for what, sql in statements.items()}
            failed = {what: error for what, error in tried.items() if error}
            if len(failed) in (0, len(statements)):
                break
            statements = {what: sql for what, sql in statements.items() if what in failed}
        self.left += [f"{what}: {error}" for what, error in failed.items()]
        _file(self.database).unlink(missing_ok=True)

    def _statements(self, now: set[Thing]) -> Iterable[tuple[str, str]]:
        gone = {thing[1] for thing in now if thing[:2] in self.created or self._named(thing)}
        for thing in sorted(now - self.before, key=str):
            kind, name, second, value = thing
            what = f"{kind.lower()} {name}"
            if kind in ("ROLE", "TABLESPACE"):
                if name in gone:
                    yield what, f"DROP {kind} {identifier(name)}"
            elif self.texts is None or {name, second} & gone or not self._mentions(name):
                continue  # it goes with its role, or is not ours
            elif kind == "MEMBER" and self._mentions(second):
                yield f"{what} of {second}", f"REVOKE {identifier(name)} FROM {identifier(second)}"
            elif kind == "SETTING":
                yield from self._reset(name, second)
        for kind, name, second, value in sorted(self.before - now, key=str):
            if kind == "SETTING" and self._mentions(name):
                # From the session's value, so that a list such as a search_path is a list again.
                yield (
                    f"setting {second} of {name}",
                    f"SELECT pg_catalog.set_config({literal(second)}, {literal(value)}, true); "
                    f"ALTER ROLE {identifier(name)} SET {identifier(second)} FROM CURRENT",
                )

    def _reset(self, role: str, setting: str) -> Iterable[tuple[str, str]]:
        if not any(thing[:3] == ("SETTING", role, setting) for thing in self.before):
            yield (
                f"setting {setting} of {role}",
                f"ALTER ROLE {identifier(role)} RESET {identifier(setting)}",
            )

    def _named(self, thing: Thing) -> bool:
        """Whether it is new, and the name of the shadow database is part of its own."""
        return thing not in self.before and self.database in thing[1]

    def _mentions(self, name: str) -> bool:
        pattern = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
        return bool(re.search(pattern, self.texts or "", re.IGNORECASE))


def _all(admin: Connection) -> set[Thing]:
    return {tuple(str(part or "") for part in row) for row in rows(send(admin, _ALL)[0])}


def _try(admin: Connection, sql: str) -> str | None:
    try:
        send(admin, sql)
    except ServerError as error:
        return str(error)
    return None


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _file(database: str) -> Path:
    """Where the names are kept, in a folder that nobody else can write to."""
    folder = Path(tempfile.gettempdir()) / f"turnback-shadows-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigurationError(
            f"others can write to {folder}", hint="remove it, or set TMPDIR to another folder"
        )
    return folder / f"{database}.json"
