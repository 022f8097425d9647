"""What migrations make outside their database: roles and their rights, settings, tablespaces.

They belong to the server, so they outlive a shadow database and disturb the next one. Others may
use the server too: there, only what a script of the project names is removed or set back, and only
if it did not exist before. A file keeps the names, for the next rehearsal after one that was
killed. On a throw-away server all that is new is removed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.sql.quoting import identifier, literal

_NAME = r'"(?:[^"]|"")+"|[\w$]+'
_CREATE = re.compile(
    rf"\bCREATE\s+(ROLE|USER|GROUP|TABLESPACE|DATABASE)\s+(?!MAPPING\b)({_NAME})", re.IGNORECASE
)
_CALL = re.compile(
    r"\bpg_(?:create_(?:physical|logical)_replication_(SLOT)|replication_(ORIGIN)_create)"
    r"\s*\(\s*'([^']+)'",
    re.IGNORECASE,
)
# A name that is put together when the script runs.
_DYNAMIC = re.compile(
    r"\bCREATE\s+(ROLE|USER|GROUP|TABLESPACE)\s*(?=%|')"
    r"|\bpg_(?:create_(?:physical|logical)_replication_(SLOT)|replication_(ORIGIN)_create)",
    re.IGNORECASE,
)
# How what is new is removed again. Kind and name come first, then what tells two states apart.
_REMOVED = {
    "ROLE": "DROP ROLE {name}",
    "TABLESPACE": "DROP TABLESPACE {name}",
    # Not by force: one in which somebody works is somebody else's.
    "DATABASE": "DROP DATABASE {name}",
    "SLOT": "SELECT pg_catalog.pg_drop_replication_slot({literal})",
    "ORIGIN": "SELECT pg_catalog.pg_replication_origin_drop({literal})",
}
_ALL = r"""
SELECT 'ROLE', rolname, NULL, NULL FROM pg_catalog.pg_roles
UNION ALL SELECT 'TABLESPACE', spcname, NULL, NULL FROM pg_catalog.pg_tablespace
UNION ALL SELECT 'DATABASE', datname, NULL, NULL FROM pg_catalog.pg_database
UNION ALL SELECT 'SLOT', slot_name, NULL, NULL FROM pg_catalog.pg_replication_slots
    WHERE NOT temporary
UNION ALL SELECT 'ORIGIN', roname, NULL, NULL FROM pg_catalog.pg_replication_origin
UNION ALL SELECT 'MEMBER', pg_catalog.pg_get_userbyid(roleid),
    pg_catalog.pg_get_userbyid(member), NULL FROM pg_catalog.pg_auth_members
UNION ALL SELECT 'SETTING', CASE WHEN setrole <> 0 THEN pg_catalog.pg_get_userbyid(setrole) END,
    pg_catalog.split_part(s, '=', 1), pg_catalog.substr(s, pg_catalog.strpos(s, '=') + 1)
    FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS s WHERE setdatabase = 0
UNION ALL SELECT 'ATTRIBUTE', rolname, a.name, a.value FROM pg_catalog.pg_roles,
    LATERAL (VALUES
        ('superuser', CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END),
        ('inherit', CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END),
        ('createrole', CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END),
        ('createdb', CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END),
        ('login', CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END),
        ('replication', CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END),
        ('bypassrls', CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END),
        ('connection limit', 'CONNECTION LIMIT ' || rolconnlimit),
        ('valid until', 'VALID UNTIL '
            || pg_catalog.quote_literal(COALESCE(rolvaliduntil, 'infinity')))
    ) AS a (name, value)
UNION ALL SELECT 'COMMENT', rolname, NULL, pg_catalog.shobj_description(oid, 'pg_authid')
    FROM pg_catalog.pg_roles
"""
_PARAMETERS = """
UNION ALL SELECT 'PARAMETER', parname, pg_catalog.pg_get_userbyid(grantee), privilege_type
    FROM pg_catalog.pg_parameter_acl, pg_catalog.aclexplode(paracl) WHERE grantee <> 0
"""
_SINCE_PARAMETERS = 150000

Thing = tuple[str, ...]


@dataclass(slots=True)
class Outside:
    """What a shadow database may leave on its server.

    Attributes:
        database: the name of the shadow database.
        created: what a script creates by name and that did not exist before: kind and name.
        dynamic: kinds of which a script makes some whose names it puts together.
        own: whether the server is ours alone.
        texts: the scripts; None where nothing but ``created`` is known.
        before: what existed before.
        left: what could not be removed, with the server's reason.
    """

    database: str
    created: list[Thing]
    own: bool = False
    texts: str | None = None
    before: set[Thing] = field(default_factory=set)
    dynamic: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    @classmethod
    def record(
        cls, admin: Connection, database: str, scripts: Iterable[str], *, own: bool
    ) -> Outside:
        """Record what exists, before the first script runs; the file is for a killed rehearsal."""
        texts = "\n".join(scripts)
        before = _all(admin)
        found = {(_kind(kind), _plain(name)) for kind, name in _CREATE.findall(texts)}
        found |= {(_kind(slot or origin), name) for slot, origin, name in _CALL.findall(texts)}
        dynamic = {_kind("".join(kinds)) for kinds in _DYNAMIC.findall(texts)}
        existing = {thing[:2] for thing in before}
        recorded = cls(database, sorted(found - existing), own, texts, before, dynamic)
        recorded.write()
        return recorded

    def write(self) -> None:
        """Keep what is created by name, for the rehearsal after this one if it is killed."""
        _file(self.database).write_text(json.dumps(self.created), encoding="utf-8")

    @classmethod
    def recorded(cls, database: str) -> Outside:
        """What a killed rehearsal recorded on this machine; nothing if it ran on another."""
        try:
            created = json.loads(_file(database).read_text(encoding="utf-8"))
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
        gone = {thing[:2] for thing in now - self.before if self._is_ours(thing)}
        for kind, name in sorted(gone):
            if how := _REMOVED.get(kind):
                sql = how.format(name=identifier(name), literal=literal(name))
                yield f"{kind.lower()} {name}", sql
        if self.texts is None:
            return
        # The rest goes with its role, or belongs to one that existed before.
        roles = {name for kind, name in gone if kind == "ROLE"}
        for thing in sorted(now - self.before, key=str):
            kind, name, second, _ = thing
            if {name, second} & roles or not self._names(thing):
                continue
            if kind == "MEMBER":
                yield f"member {second}", f"REVOKE {identifier(name)} FROM {identifier(second)}"
            elif kind == "PARAMETER":
                sql = f"REVOKE {thing[3]} ON PARAMETER {name} FROM {identifier(second)}"
                yield f"parameter {name} of {second}", sql
            elif kind == "SETTING" and not self._had(thing):
                sql = f"ALTER ROLE {_role(name)} RESET {identifier(second)}"
                yield f"setting {second} of {name}", sql
        for thing in sorted(self.before - now, key=str):
            if thing[0] in ("SETTING", "ATTRIBUTE", "COMMENT") and self._names(thing):
                yield self._set_back(thing)

    def _set_back(self, thing: Thing) -> tuple[str, str]:
        kind, name, second, value = thing
        what = f"{kind.lower()} {second} of {name}".replace("  ", " ")
        if kind == "ATTRIBUTE":
            return what, f"ALTER ROLE {identifier(name)} {value}"
        if kind == "COMMENT":
            comment = literal(value) if value else "NULL"
            return what, f"COMMENT ON ROLE {identifier(name)} IS {comment}"
        # From the session's value, so that a list such as a search_path is a list again.
        return what, (
            f"SELECT pg_catalog.set_config({literal(second)}, {literal(value)}, true); "
            f"ALTER ROLE {_role(name)} SET {identifier(second)} FROM CURRENT"
        )

    def _is_ours(self, thing: Thing) -> bool:
        """Whether what is new was made by the migrations."""
        kind, name, *_ = thing
        if kind not in _REMOVED:
            return False
        if self.own or thing[:2] in map(tuple, self.created) or self.database in name:
            return True
        return kind in self.dynamic and self._mentions(name)

    def _had(self, thing: Thing) -> bool:
        return any(one[:3] == thing[:3] for one in self.before)

    def _names(self, thing: Thing) -> bool:
        """Whether the scripts name all that it is about."""
        kind, name, second, _ = thing
        parts = [name, second] if kind in ("MEMBER", "PARAMETER") else [name or second]
        return self.own or all(map(self._mentions, parts))

    def _mentions(self, name: str) -> bool:
        pattern = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
        return bool(re.search(pattern, self.texts or "", re.IGNORECASE))


def _all(admin: Connection) -> set[Thing]:
    query = _ALL + (_PARAMETERS if admin.info.server_version >= _SINCE_PARAMETERS else "")
    return {tuple(str(part or "") for part in row) for row in rows(send(admin, query)[0])}


def _role(name: str) -> str:
    return identifier(name) if name else "ALL"


def _try(admin: Connection, sql: str) -> str | None:
    try:
        send(admin, sql)
    except ServerError as error:
        return str(error)
    return None


def _kind(word: str) -> str:
    word = word.upper()
    return "ROLE" if word in ("USER", "GROUP") else word


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _file(database: str) -> Path:
    """Where the names are kept, in a folder that nobody else can write to."""
    if sys.platform == "win32":
        # The temporary folder is the user's own.
        folder = Path(tempfile.gettempdir()) / "turnback-shadows"
        folder.mkdir(exist_ok=True)
        return folder / f"{database}.json"
    # Not on Windows.
    from turnback.rehearsal.folder import refuse_others

    folder = Path(tempfile.gettempdir()) / f"turnback-shadows-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    refuse_others(folder)
    return folder / f"{database}.json"
