"""Runs a script that is no migration, such as ``shadow.sql`` before the first one."""

from __future__ import annotations

from turnback.engine.session.message import Connection, ServerError, send
from turnback.errors import ConfigurationError
from turnback.migrations.model import Script
from turnback.rehearsal.rights import Superuser
from turnback.rehearsal.trace import run
from turnback.sql.script import prepare

_HINT = (
    "it runs before the first migration, and makes what other tools make on the target; no "
    "migration has run yet"
)


def run_script(
    connection: Connection,
    script: Script,
    superuser: Superuser | None = None,
    *,
    where: str = "the shadow database",
    hint: str = _HINT,
) -> None:
    """Run the file, in a transaction where its statements allow that.

    Args:
        connection: with the database, as the role of the migrations.
        script: the file.
        superuser: repeats what that role may not run; None where nobody does.
        where: the database, for the error.
        hint: of the error.

    Raises:
        ConfigurationError: it does not run; the error names the place, and no migration.
        InvalidMigration: it has psql commands or the like.
    """
    runnable = prepare(script)
    alone = not runnable.in_one_transaction
    offset = 0
    try:
        send(connection, "" if alone else "BEGIN")
        if runnable.statements is None:
            send(connection, runnable.text, rows=runnable.rows)
        for statement in runnable.statements or ():
            offset = statement.offset
            if alone:
                send(connection, statement.sql, rows=statement.rows)
            else:
                run(connection, statement, superuser)
        # Constraints that are checked at the end, too.
        send(connection, "" if alone else "COMMIT")
    except ServerError as error:
        line, column = script.position(offset + max((error.position or 1) - 1, 0))
        raise ConfigurationError(
            f"{script.path} does not run on {where}: {error}",
            file=script.path,
            line=line,
            column=column,
            sqlstate=error.sqlstate,
            hint=hint,
        ) from error
