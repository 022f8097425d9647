"""What a dump of a database cannot hold, or not as it is: found in the catalog, said at backup."""

from __future__ import annotations

from turnback.engine.session.connection import Connection

# Each row is one sentence. pg_dump reads the same views with the same role, so what they hide from
# it is not in the dump. A restore runs as this role, too.
_QUERY = """
WITH me AS (SELECT rolsuper AS super FROM pg_catalog.pg_roles WHERE rolname = current_user)
SELECT pg_catalog.format(
    'user mapping of %s on server %s: this role may not read its options, so the dump has it '
    'without them; set them again after a restore (ALTER USER MAPPING)', usename, srvname)
  FROM pg_catalog.pg_user_mappings, me
 WHERE umoptions IS NULL AND NOT super
UNION ALL
SELECT pg_catalog.format(
    'extension %s: a restore makes version %s, and the database has %s',
    e.extname, a.default_version, e.extversion)
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
 WHERE a.default_version <> e.extversion
UNION ALL
SELECT pg_catalog.format(
    CASE WHEN super THEN 'subscription %s: a restore makes it disabled and without a slot'
         ELSE 'subscription %s: only a superuser can dump it; it is not in the dump' END, subname)
  FROM pg_catalog.pg_subscription, me
 WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database
                   WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT pg_catalog.format(
    'publication %s: it is for all tables, and only a superuser can restore it', pubname)
  FROM pg_catalog.pg_publication, me
 WHERE puballtables AND NOT super
UNION ALL
SELECT pg_catalog.format('event trigger %s: only a superuser can restore it', evtname)
  FROM pg_catalog.pg_event_trigger t, me
 WHERE NOT super AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
ORDER BY 1
"""


def limits_of(connection: Connection) -> list[str]:
    """What a restore of a dump of this database will not bring back, or not as it is now.

    What no dump holds (roles, tablespaces, settings of the server) is in docs/backup.md.

    Args:
        connection: a session with the database, by the role that dumps it.

    Returns:
        One sentence for each object.
    """
    return [str(sentence) for (sentence,) in connection.execute(_QUERY.encode()).fetchall()]
