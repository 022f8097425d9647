"""What a shadow database gets from the target before the first migration.

Settings that change what a script means, and the roles, extensions and schemas that the scripts
need and do not make: somebody else has made them on the target, such as the schema ``auth`` of
Supabase, with the rights on them. No password, no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.engine.session.query import own_statements
from turnback.errors import SnapshotFailed
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.quoting import NAME, identifier, literal, plain
from turnback.sql.statements import Statement, split
from turnback.sql.tree import (
    changed,
    joined,
    made,
    makes,
    object_parts,
    table_name,
    takes_away,
)

# What changes the reading of text is the same in each session of turnback (connection.READING).
_SETTINGS = (
    *("search_path", "TimeZone", "default_text_search_config", "bytea_output"),
    *("check_function_bodies", "default_transaction_isolation", "xmlbinary"),
)
_KINDS = (
    "(VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('T', 'TYPES'), "
    "('n', 'SCHEMAS')) AS t (letter, kind) ON t.letter = d.defaclobjtype"
)
_QUERY = f"""
SELECT 'user', current_user, NULL
UNION ALL SELECT 'setting', name, reset_val FROM pg_catalog.pg_settings
    WHERE name IN ({", ".join(literal(name) for name in _SETTINGS)})
UNION ALL SELECT 'role', rolname, NULL FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'
UNION ALL SELECT 'member', r.rolname, m.rolname FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
UNION ALL SELECT 'extension', e.extname, n.nspname FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'
UNION ALL SELECT 'version', extname, extversion FROM pg_catalog.pg_extension
UNION ALL SELECT 'schema', nspname, NULL FROM pg_catalog.pg_namespace n
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
        AND d.objid = n.oid AND d.deptype = 'e')
UNION ALL SELECT 'publication', pubname, pg_catalog.concat_ws(', ',
        CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
        CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END)
    FROM pg_catalog.pg_publication WHERE NOT puballtables
UNION ALL SELECT 'default', '0', pg_catalog.format(
        'ALTER DEFAULT PRIVILEGES REVOKE ALL ON %s FROM PUBLIC', t.kind)
    FROM pg_catalog.pg_default_acl d JOIN {_KINDS}
    WHERE d.defaclrole = current_user::pg_catalog.regrole AND d.defaclnamespace = 0
UNION ALL SELECT 'default', '1', pg_catalog.format(
        'ALTER DEFAULT PRIVILEGES %sGRANT %s ON %s TO %s%s',
        'IN SCHEMA ' || pg_catalog.quote_ident(n.nspname) || ' ', a.privilege_type, t.kind,
        CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM pg_catalog.pg_default_acl d JOIN {_KINDS}
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace,
        pg_catalog.aclexplode(d.defaclacl) a
    WHERE d.defaclrole = current_user::pg_catalog.regrole AND a.grantee <> d.defaclrole
    AND (d.defaclnamespace = 0 OR n.nspname = 'public')
ORDER BY 1, 2, 3
"""
_MADE = re.compile(
    rf"\bCREATE\s+(ROLE|USER|GROUP|EXTENSION|SCHEMA|PUBLICATION)\s+(?:IF\s+NOT\s+EXISTS\s+)?({NAME})",
    re.IGNORECASE,
)
_DEFAULTS = re.compile(r"\bALTER\s+DEFAULT\s+PRIVILEGES\b", re.IGNORECASE)
_DYNAMIC_ROLE = re.compile(r"\bCREATE\s+(?:ROLE|USER|GROUP)\s*(?=%|')", re.IGNORECASE)
_DYNAMIC_SCHEMA = re.compile(r"\bCREATE\s+SCHEMA\s+(?:IF\s+NOT\s+EXISTS\s+)?(?=%|')", re.IGNORECASE)
# What pg_dump writes for psql alone.
_RESTRICT = re.compile(r"^\\(?:un)?restrict .*$", re.MULTILINE)
# It is there, or what it changes is not.
_FORGIVING = """BEGIN EXECUTE {}; EXCEPTION
WHEN duplicate_object OR duplicate_column OR duplicate_table OR duplicate_function OR
duplicate_schema OR undefined_object OR undefined_column OR undefined_table OR undefined_function
THEN NULL; END"""
_USER = re.compile(r'(?<![^\s,])"?\$user"?(?![^\s,])')


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the scripts find on the target.

    Attributes:
        settings: name → value, as a new session of the user who runs has them.
        roles: those that a script names and none creates.
        members: pairs of them, a role and a member of it.
        extensions: name → schema, of those that no script creates.
        schemas: SQL of the schemas that a script names and none creates, without what the scripts
            make in them, and as they were before the migrations that are applied.
        versions: of those extensions.
        publications: name → what it publishes, of those that a script names and none creates;
            they are without tables.
        defaults: default privileges of the role of the migrations, as SQL, unless a script sets
            some.
        unread: what of the target could not be read, as sentences.
    """

    settings: dict[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    extensions: dict[str, str] = field(default_factory=dict)
    schemas: str = ""
    unread: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    publications: dict[str, str] = field(default_factory=dict)
    defaults: tuple[str, ...] = ()


def read_surroundings(
    connection: Connection,
    scripts: Iterable[str],
    dump: Callable[[Sequence[str]], str],
    *,
    rollbacks: Iterable[str] = (),
    applied: Iterable[str] = (),
    history_schema: str = "public",
) -> Surroundings:
    """Look at the target, and change nothing.

    Args:
        connection: a session as the user who runs the migrations.
        scripts: their texts; of a very long one, its beginning.
        dump: the SQL of schemas of the target, as pg_dump writes it without owners; raises
            SnapshotFailed.
        rollbacks: those of the texts that are rollback scripts.
        applied: those of them whose migrations are applied there, oldest first.
        history_schema: where turnback's own tables are.

    Raises:
        DatabaseRefused, DatabaseUnreachable: it cannot be looked at.
    """
    texts = list(scripts)
    text = "\n".join(texts)
    with own_statements():
        # An own transaction: the session keeps its search_path, which is one of the answers.
        found = send(connection, f"BEGIN; SET LOCAL search_path = pg_catalog; {_QUERY}; COMMIT")[2]
    kinds: dict[str, list[tuple[str, str]]] = {}
    for kind, name, second in rows(found):
        kinds.setdefault(str(kind), []).append((str(name), second or ""))
    user = kinds["user"][0][0]
    creates = {(kind.upper(), plain(name)) for kind, name in _MADE.findall(text)}
    candidates = {name for name, _ in kinds.get("schema", ())} - {history_schema}
    candidates -= {name for kind, name in creates if kind == "SCHEMA"}
    dumped, unread = "", list[str]()
    # Where a script puts the name of a schema together, any of them may be one that it makes.
    if not _DYNAMIC_SCHEMA.search(text):
        dumped, unread = _dumped(text, candidates, dump)
    defaults = [sql for _, sql in kinds.get("default", ()) if not _DEFAULTS.search(text)]
    words = set(re.findall(r"[\w$]+", text.lower()))
    publications = {
        name: published
        for name, published in kinds.get("publication", ())
        if ("PUBLICATION", name) not in creates and _is_named(name, words, text)
    }
    roles: list[str] = []
    # Where a script puts the name of a role together, any of them may be one that it makes.
    if not _DYNAMIC_ROLE.search(text):
        made_roles = {name for kind, name in creates if kind in ("ROLE", "USER", "GROUP")}
        named = "\n".join((text, dumped, *defaults))
        words = set(re.findall(r"[\w$]+", named.lower()))
        existing = {name for name, _ in kinds.get("role", ())} - made_roles
        roles = sorted(name for name in existing if _is_named(name, words, named))
    undo = list(rollbacks)
    forward = [one for one in texts if one not in set(undo)]
    extensions = {
        name: schema
        for name, schema in kinds.get("extension", ())
        if not creates & {("EXTENSION", name), ("SCHEMA", schema)}
    }
    settings = dict(kinds.get("setting", ()))
    if "search_path" in settings:
        settings["search_path"] = _USER.sub(lambda _: identifier(user), settings["search_path"])
    # A script makes things in the first of these that there is, without naming it.
    path = re.findall(NAME, settings.get("search_path", ""))
    on_path = candidates & {plain(name) for name in path}
    return Surroundings(
        settings,
        tuple(roles),
        tuple(pair for pair in kinds.get("member", ()) if set(pair) <= set(roles)),
        extensions,
        "".join(f"CREATE SCHEMA IF NOT EXISTS {identifier(one)};\n" for one in sorted(on_path))
        + (_before(dumped, forward, undo, applied, candidates) if dumped else ""),
        tuple(unread),
        {name: number for name, number in kinds.get("version", ()) if name in extensions},
        publications,
        tuple(defaults),
    )


def _dumped(
    text: str, candidates: set[str], dump: Callable[[Sequence[str]], str]
) -> tuple[str, list[str]]:
    """The SQL of the schemas that a text names, and of those that this SQL names in turn."""
    found, wanted, known = "", _qualifiers(text, candidates), set[str]()
    try:
        while wanted - known:
            known |= wanted
            found = _RESTRICT.sub("", dump(sorted(known)))
            wanted = _qualifiers(found, candidates)
    except SnapshotFailed as error:
        names = ", ".join(sorted(known))
        return "", [
            f"schemas of the target that are not in the shadow database: {names}: {error.message}; "
            "write what the migrations need of them in shadow.sql"
        ]
    return found, []


def _qualifiers(text: str, candidates: set[str]) -> set[str]:
    """Those of the schemas that a text names before a point, or after the word SCHEMA."""
    pattern = rf"({NAME})\s*\.|\bSCHEMA\s+({NAME})"
    found = re.findall(pattern, text, re.IGNORECASE)
    return candidates & {plain(first or second) for first, second in found}


def _before(
    dumped: str,
    forward: Iterable[str],
    rollbacks: Iterable[str],
    applied: Iterable[str],
    schemas: set[str],
) -> str:
    """The SQL of schemas of others, as they were before the migrations that are applied.

    What the forward scripts make there is left out. What applied ones have altered, dropped or
    renamed is undone by their rollback scripts, newest first; so they find it as they did.
    """
    theirs, doing = _split(dumped), [one for script in forward for one in _split(script)]
    made_here = [item for one in doing for item in made(one)]
    ours = {item.name for item in made_here} - _replaced(doing, rollbacks)
    kept: list[str] = []
    for statement in theirs:
        if statement.kind == "CreateSchemaStmt":
            kept.append(f"CREATE SCHEMA IF NOT EXISTS {identifier(statement.tree['schemaname'])}")
        elif not _is_of(statement, ours):
            kept.append(statement.sql)
    # A column is part of the statement that makes its table.
    tables = {item.name for one in theirs for item in made(one)} - ours
    for item in made_here:
        table, _, column = item.name.rpartition(".")
        if item.kind == "OBJECT_COLUMN" and table in tables:
            place = ".".join(map(identifier, table.split(".")))
            kept.append(f"ALTER TABLE {place} DROP COLUMN IF EXISTS {identifier(column)} CASCADE")
    kept += [
        f"DO {literal(_FORGIVING.format(literal(one.sql)))}"
        for script in reversed([*applied])
        for one in _split(script)
        if any(name.partition(".")[0] in schemas for name in changed(one)) and not _is_of(one, ours)
    ]
    return "".join(f"{sql};\n" for sql in kept)


def _replaced(forward: Iterable[Statement], rollbacks: Iterable[str]) -> set[str]:
    """What CREATE OR REPLACE in a forward script has not made.

    The rollback scripts make it as well, as it was before, and none drops it.
    """
    replaced = {name for one in forward if one.tree.get("replace") for name in makes(one)}
    if not replaced:
        return replaced
    undoing = [one for script in rollbacks for one in _split(script)]
    restored = {name for one in undoing for name in makes(one)}
    return replaced & restored - {name for one in undoing for name in takes_away(one)}


def _is_of(statement: Statement, ours: set[str]) -> bool:
    """Whether a statement of a dump makes or changes one of these objects, or a part of one."""
    names = [item.name for item in made(statement)]
    if statement.kind == "GrantStmt" and statement.tree["targtype"] == "ACL_TARGET_OBJECT":
        names += [joined(object_parts(item)) for item in statement.tree["objects"]]
    if statement.tree.get("name") == "session_authorization":
        # Of a right that somebody else has given: the role of the migrations gives it.
        return True
    if statement.kind in ("AlterTableStmt", "IndexStmt", "CreateTrigStmt"):
        names.append(table_name(statement.tree["relation"]))
    return any(name in ours or name.rpartition(".")[0] in ours for name in names)


def _split(sql: str) -> list[Statement]:
    try:
        return split(sql)
    except SqlSyntaxError:
        # Only a newer server can read it.
        return []


def arrange(
    session: Connection, database: str, surroundings: Surroundings
) -> tuple[list[str], list[str]]:
    """Give a new and empty shadow database what the scripts find on the target.

    Args:
        session: with that database, as the role of the migrations.
        database: its name.
        surroundings: of the target.

    Returns:
        The roles that were created, and what could not be done, as sentences.
    """
    missing = list(surroundings.unread)
    known = send(session, "SELECT rolname FROM pg_catalog.pg_roles")[0]
    existing = {name for (name,) in rows(known)}
    created = [
        role
        for role in surroundings.roles
        if role not in existing
        and _run(session, f"CREATE ROLE {identifier(role)} NOLOGIN", f"role {role}", missing)
    ]
    for role, member in surroundings.members:
        if {role, member} <= set(created):
            grant = f"GRANT {identifier(role)} TO {identifier(member)}"
            _run(session, grant, f"member {member} of {role}", missing)
    for name, schema in surroundings.extensions.items():
        where = identifier(schema)
        if schema not in ("public", "pg_catalog"):
            _run(session, f"CREATE SCHEMA IF NOT EXISTS {where}", f"schema {schema}", missing)
        _create_extension(session, name, where, surroundings.versions.get(name), missing)
    # All at once; where something of it fails, the rest is kept.
    if surroundings.schemas and not _run(session, surroundings.schemas, "", []):
        for statement in _split(surroundings.schemas):
            what = f"{statement.sql.partition('(')[0].strip()!r}"
            if statement.kind == "DoStmt":
                what = "what was there before an applied migration"
            _run(session, statement.sql, what, missing)
        send(session, "RESET ALL")
    for name, published in surroundings.publications.items():
        create = f"CREATE PUBLICATION {identifier(name)} WITH (publish = {literal(published)})"
        _run(session, create, f"publication {name}", missing)
    for sql in surroundings.defaults:
        _run(session, sql, f"{sql!r}", missing)
    for name, value in surroundings.settings.items():
        # From the session's value, so that a list such as a search_path is a list again.
        sql = (
            f"SELECT pg_catalog.set_config({literal(name)}, {literal(value)}, true); "
            f"ALTER DATABASE {identifier(database)} SET {name} FROM CURRENT"
        )
        _run(session, sql, f"setting {name} = {value}", missing)
    return created, missing


def _create_extension(
    session: Connection, name: str, where: str, version: str | None, missing: list[str]
) -> None:
    create = f"CREATE EXTENSION IF NOT EXISTS {identifier(name)}"
    wanted = f" VERSION {literal(version)}" if version else ""
    # Where an extension must be in a certain schema, the server knows it better.
    for options in (f" SCHEMA {where}{wanted}", wanted, f" SCHEMA {where}"):
        if _run(session, f"{create}{options} CASCADE", "", []):
            break
    else:
        if not _run(session, f"{create} CASCADE", f"extension {name}", missing):
            return
    query = f"SELECT extversion FROM pg_catalog.pg_extension WHERE extname = {literal(name)}"
    [[here]] = rows(send(session, query)[0])
    if version and here != version:
        missing.append(
            f"extension {name} {version} of the target is version {here} in the shadow database"
        )


def _run(session: Connection, sql: str, what: str, missing: list[str]) -> bool:
    try:
        send(session, sql)
    except ServerError as error:
        missing.append(f"{what} of the target is not in the shadow database: {error}")
        return False
    return True


def _is_named(name: str, words: set[str], text: str) -> bool:
    simple = re.fullmatch(r"[\w$]+", name)
    return name.lower() in words if simple else name in text
