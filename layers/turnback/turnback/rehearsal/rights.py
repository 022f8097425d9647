"""What migrations may do on a throw-away server: as much as a master user of RDS, and no more.

They run as ``postgres``, which is no superuser there: it cannot start programs, load libraries or
read files of the server. A few statements are refused to such a role by PostgreSQL and allowed by
RDS, or they are harmless; these are repeated as superuser, each alone.
"""

from __future__ import annotations

import secrets

from psycopg import conninfo

from turnback.engine.session.connection import Connection, connect_for_own
from turnback.engine.session.message import ServerError, send
from turnback.sql.quoting import literal
from turnback.sql.statements import Statement

APPLICATION = "turnback-shadow"
ROLE = "postgres"
ADMIN = "turnback_admin"
# Who may log in without a password: nobody who is superuser once the rights are limited. Otherwise
# dblink could log in as superuser, and a login trigger would run before dblink looks at it.
AUTHENTICATION = f"local all {ROLE} trust\nlocal all all scram-sha-256\n"
REFUSED = "42501"
# What the throw-away server lacks, and a server of one's own need not: its error, and a hint.
LIMITS: dict[str | None, str] = {
    REFUSED: "on the shadow database migrations run with the rights of a master user of RDS, who "
    "is no superuser; if the target gives them more, rehearse on a server of yours (--shadow-url)",
    "53100": "the disk of the shadow database is full, which is that of the temporary folder "
    "or in memory: name a larger folder (TMPDIR), or rehearse on a server of yours (--shadow-url)",
}
# The lock that only our own session takes: while it holds it, ``postgres`` can be superuser.
_KEY = 0x7475726E6261636B
# Each takes nothing but names, and runs no code of its author's while event triggers are off.
_REPEATED = {
    "CreateEventTrigStmt": (),
    "CreatePublicationStmt": (),
    "AlterPublicationStmt": (),
    "CreateForeignServerStmt": (),
    "CreateUserMappingStmt": (),
    "AlterUserMappingStmt": (),
    "GrantStmt": ("OBJECT_FDW",),
    "CommentStmt": ("OBJECT_EXTENSION",),
    "AlterObjectSchemaStmt": ("OBJECT_EXTENSION",),
}
# Not among them: those that name a library, a file or a program.
_SETTINGS = (
    "session_replication_role, deadlock_timeout, lc_messages, log_duration, "
    "log_error_verbosity, log_lock_waits, log_min_duration_statement, log_min_error_statement, "
    "log_min_messages, log_statement, log_temp_files, temp_file_limit, track_activities, "
    "track_counts, track_functions, track_io_timing, lo_compat_privileges"
)
# All predefined roles but those that reach files and programs of the server.
_ROLES = (
    "pg_monitor, pg_read_all_data, pg_write_all_data, pg_read_all_settings, pg_read_all_stats, "
    "pg_stat_scan_tables, pg_signal_backend, pg_checkpoint, pg_maintain, pg_create_subscription, "
    "pg_use_reserved_connections"
)
# The first superuser of a server cannot lose that right, so another role gets its name: scripts
# made by pg_dump give everything to ``postgres``.
_FIRST, _LIMITED = "turnback_bootstrap", "turnback_limited"
_LIMIT = f"""
ALTER ROLE {ROLE} RENAME TO {_FIRST};
CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
ALTER ROLE {ROLE} SET createrole_self_grant = 'set, inherit';
GRANT {_ROLES} TO {ROLE} WITH ADMIN OPTION;
GRANT SET ON PARAMETER {_SETTINGS} TO {ROLE};
"""
# A server that is started again is entered as it was at first. What the migrations have set for
# their role does not apply to who enters then.
_RESTORE = f"""
ALTER ROLE {ROLE} RENAME TO {_LIMITED};
ALTER ROLE {_FIRST} RENAME TO {ROLE};
ALTER ROLE {ADMIN} PASSWORD NULL;
"""
_LIMIT_AGAIN = f"""
ALTER ROLE {ROLE} RENAME TO {_FIRST};
ALTER ROLE {_LIMITED} RENAME TO {ROLE};
"""
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION pg_catalog.turnback_superuser() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
        WHERE a.usename = {literal(ADMIN)} AND l.granted AND l.locktype = 'advisory'
        AND l.classid = {_KEY >> 32} AND l.objid = {_KEY & 0xFFFFFFFF} AND l.objsubid = 1
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = 'only turnback may call this function';
    END IF;
    ALTER ROLE {ROLE} SUPERUSER;
END $$
"""
# A trigger of the migration's author would run with the rights of whoever runs the statement.
_BEFORE = "SELECT pg_catalog.turnback_superuser(); SET LOCAL event_triggers = off; "
_AFTER = f"; SET LOCAL event_triggers = on; ALTER ROLE {ROLE} NOSUPERUSER"


def limit_rights(server: str, *, again: bool = False) -> str:
    """Make ``postgres`` of a throw-away server a role that is no superuser.

    Args:
        server: its address as ``postgres``, the first superuser. It must know no other role, and
            let nobody in but by ``AUTHENTICATION``.
        again: whether the rights on it were limited, and restored by ``restore_rights``.

    Returns:
        The address of a superuser, with its password.
    """
    password = secrets.token_hex(24)
    make = "ALTER" if again else "CREATE"
    sql = f"{make} ROLE {ADMIN} SUPERUSER LOGIN PASSWORD {literal(password)}"
    with connect_for_own(server, application_name=APPLICATION) as session:
        send(session, f"SET scram_iterations = 1; {sql}")
    admin = conninfo.make_conninfo(server, user=ADMIN, password=password)
    with connect_for_own(admin, application_name=APPLICATION) as session:
        send(session, _LIMIT_AGAIN if again else _LIMIT)
    return admin


def restore_rights(admin: Connection) -> None:
    """Make ``postgres`` the first superuser again, before the server is stopped.

    Args:
        admin: a session of the superuser; none can be begun after it.
    """
    send(admin, _RESTORE)


def is_repeated(statement: Statement) -> bool:
    """Whether this statement is repeated as superuser where it is refused for lack of rights."""
    kinds = _REPEATED.get(statement.kind)
    if kinds is None:
        return False
    kind = statement.tree.get("objtype") or statement.tree.get("objectType")
    return not kinds or kind in kinds


class Superuser:
    """Repeats statements as superuser, in the transaction that they belong to.

    The role is made superuser and ordinary again by the message that repeats the statement. Nobody
    else ever sees it as superuser, because that is not committed in between.

    Args:
        admin: a session of the superuser, open for as long as this is used.
        database: the address of the shadow database for the superuser; nothing has run there yet.
    """

    def __init__(self, admin: Connection, database: str) -> None:
        self._admin = admin
        with connect_for_own(database, application_name=APPLICATION) as session:
            send(session, _FUNCTION)

    def run(self, connection: Connection, statement: Statement) -> None:
        """Run a statement in an open transaction, again as superuser if it may not be run.

        Raises:
            ServerError: it failed; the transaction is to be rolled back.
        """
        if not is_repeated(statement):
            send(connection, statement.sql, rows=statement.rows)
            return
        send(connection, "SAVEPOINT turnback_statement")
        try:
            send(connection, statement.sql)
        except ServerError as error:
            if error.sqlstate != REFUSED:
                raise
            send(connection, "ROLLBACK TO SAVEPOINT turnback_statement")
            self._repeat(connection, statement, error)
        send(connection, "RELEASE SAVEPOINT turnback_statement")

    def _repeat(self, connection: Connection, statement: Statement, refused: ServerError) -> None:
        send(self._admin, f"SELECT pg_catalog.pg_advisory_lock({_KEY})")
        try:
            send(connection, f"{_BEFORE}{statement.sql}{_AFTER}")
        except ServerError as error:
            # After a SET ROLE it is another role that lacks the right, as it would on the target.
            if error.sqlstate == REFUSED or error.index != _BEFORE.count(";"):
                raise refused from error
            error.index = 0
            if error.position is not None:
                error.position -= len(_BEFORE)
            raise
        finally:
            send(self._admin, f"SELECT pg_catalog.pg_advisory_unlock({_KEY})")
