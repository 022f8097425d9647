"""What a dump of a database cannot hold, or not as it is: found in the catalog, said at backup."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.engine.session.connection import Connection

_SHOWN = 10
# Each row is a limit: what it is of, and the rest of the sentence. Rows of one kind have the same
# rest. pg_dump reads the same views with the same role, so what they hide from it is not in the
# dump. What a role may not restore, the trial finds out.
_LIMITS = """
WITH me AS (SELECT rolsuper AS super FROM pg_catalog.pg_roles WHERE rolname = current_user),
member AS (SELECT classid, objid, refobjid FROM pg_catalog.pg_depend WHERE deptype = 'e'
              AND refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass),
-- Relations that are not a part of their extension's script, or whose rows are not in the dump.
owned AS (SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
            FROM member m JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid
            JOIN pg_catalog.pg_class c ON c.oid = m.objid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
             AND c.relkind IN ('r', 'p', 'S') AND NOT c.oid = ANY (coalesce(e.extconfig, '{}'))),
-- Of each column of a child table: where its parents have it.
inherited AS (
    SELECT c.oid, a.attnum, a.attinhcount,
           (SELECT min(i.inhseqno * 10000 + p.attnum) FROM pg_catalog.pg_inherits i
              JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
             WHERE i.inhrelid = c.oid AND p.attnum > 0) AS place
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
     WHERE c.relkind IN ('r', 'f') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
       AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)),
ordered AS (SELECT oid, pg_catalog.row_number() OVER (PARTITION BY oid ORDER BY attnum) AS now,
                   pg_catalog.row_number() OVER (PARTITION BY oid ORDER BY place, attnum) AS then
              FROM inherited)
SELECT 'user mapping', pg_catalog.format('%s on server %s', usename, srvname),
       'this role may not read the options, so the dump has none; set them again after a restore '
       '(ALTER USER MAPPING)'
  FROM pg_catalog.pg_user_mappings, me WHERE umoptions IS NULL AND NOT super
UNION ALL
SELECT 'extension', e.extname, pg_catalog.format(
       'a restore makes version %s, and the database has %s', a.default_version, e.extversion)
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
 WHERE a.default_version <> e.extversion
UNION ALL
SELECT 'table', name, 'part of an extension; rows, and indexes and triggers that were added, are '
       'not in the dump'
  FROM owned
 WHERE (relkind = 'r' AND pg_catalog.pg_relation_size(oid) > 0)
    OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = owned.oid AND NOT EXISTS (
               SELECT FROM member m WHERE m.objid = i.indexrelid))
    OR EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = owned.oid AND NOT t.tgisinternal)
UNION ALL
SELECT 'subscription', subname,
       CASE WHEN super THEN 'a restore makes it disabled, and makes no slot for it'
            ELSE 'only a superuser can dump it; it is not in the dump' END
  FROM pg_catalog.pg_subscription, me
 WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database
                   WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT 'materialized view', pg_catalog.format('%I.%I', n.nspname, c.relname),
       'the rows are not in the dump; a restore computes them anew'
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND c.relispopulated
UNION ALL
SELECT 'index', pg_catalog.format('%I.%I', n.nspname, c.relname),
       'not valid, so not in the dump'
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%'
UNION ALL
SELECT 'table', pg_catalog.format('%I.%I', n.nspname, c.relname),
       'a restore puts inherited columns first, so the order of the columns changes'
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE EXISTS (SELECT FROM ordered o WHERE o.oid = c.oid AND o.now <> o.then)
UNION ALL
SELECT 'foreign key', pg_catalog.format('%I on %I.%I', k.conname, n.nspname, c.relname),
       'the triggers are disabled; a restore enables them, and leaves the key NOT VALID '
       'where rows break it'
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'f' AND EXISTS (SELECT FROM pg_catalog.pg_trigger t
                                    WHERE t.tgconstraint = k.oid AND t.tgenabled = 'D')
UNION ALL
SELECT 'object', i.identity, 'in a schema of the system, so not in the dump'
  FROM (SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, oid, pronamespace AS schema
          FROM pg_catalog.pg_proc
        UNION ALL
        SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace
          FROM pg_catalog.pg_type
         WHERE typtype IN ('d', 'e', 'r') OR (typtype = 'b' AND typcategory <> 'A')
        UNION ALL
        SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace
          FROM pg_catalog.pg_operator
        UNION ALL
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relnamespace
          FROM pg_catalog.pg_class WHERE relkind IN ('r', 'v', 'm', 'S')) o,
       pg_catalog.pg_identify_object(o.class, o.oid, 0) i
 WHERE o.oid >= 16384 AND o.schema IN (SELECT oid FROM pg_catalog.pg_namespace
                                        WHERE nspname IN ('pg_catalog', 'information_schema'))
   AND NOT EXISTS (SELECT FROM member m WHERE m.classid = o.class AND m.objid = o.oid)
ORDER BY 1, 3, 2
"""
# What objects of this database refer to, or what is kept for it, outside of it.
_NEEDS = """
WITH here AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
SELECT 'role', r.rolname, 'with passwords, memberships and settings'
  FROM pg_catalog.pg_roles r
 WHERE r.oid >= 16384 AND EXISTS (
       SELECT FROM pg_catalog.pg_shdepend d, here
        WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid
          AND (d.dbid = here.oid OR (d.dbid = 0 AND d.objid = here.oid)))
UNION ALL
SELECT 'tablespace', t.spcname, '' FROM pg_catalog.pg_tablespace t
 WHERE t.spcname <> 'pg_default' AND t.spcname <> 'pg_global'
   AND (EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.reltablespace = t.oid)
        OR EXISTS (SELECT FROM pg_catalog.pg_database d, here
                    WHERE d.oid = here.oid AND d.dattablespace = t.oid))
UNION ALL
SELECT 'extension', e.extname, 'in the default version there' FROM pg_catalog.pg_extension e
 WHERE e.oid >= 16384
UNION ALL
SELECT 'setting', pg_catalog.split_part(u.setting, '=', 1),
       'of the database, as are its owner, grants, limit and comment'
  FROM pg_catalog.pg_db_role_setting s, here, pg_catalog.unnest(s.setconfig) u(setting)
 WHERE s.setdatabase = here.oid
UNION ALL
SELECT 'replication slot', slot_name, '' FROM pg_catalog.pg_replication_slots
 WHERE database = pg_catalog.current_database()
ORDER BY 1, 2
"""
_PLURAL = {"index": "indexes"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a dump does not have.

    Attributes:
        differs: what a restore will not bring back here, or not as it is now, a sentence for each
            kind of object.
        needs: what another server must have before a restore, likewise; here it is there already.
    """

    differs: tuple[str, ...]
    needs: tuple[str, ...]


def limits_of(connection: Connection) -> Limits:
    """What a dump of this database does not have.

    Args:
        connection: a session with the database, by the role that dumps it.
    """
    return Limits(_sentences(connection, _LIMITS, ": "), _sentences(connection, _NEEDS, ", "))


def _sentences(connection: Connection, query: str, between: str) -> tuple[str, ...]:
    """One for each kind of object and what there is to say of it, with the objects' names."""
    found: dict[tuple[str, str], list[str]] = {}
    for kind, name, said in connection.execute(query.encode()).fetchall():
        names = found.setdefault((str(kind), str(said)), [])
        if name not in names:
            names.append(str(name))
    return tuple(
        f"{kind if len(names) == 1 else _PLURAL.get(kind, f'{kind}s')} {_listed(names)}"
        + (between + said if said else "")
        for (kind, said), names in found.items()
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
