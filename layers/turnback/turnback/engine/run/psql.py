"""A plan as a script for psql, which leaves the history that a run would leave.

psql sends statement by statement, so what a run sends as one message is a transaction block here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from turnback import __version__
from turnback.engine.outside import divided
from turnback.engine.outside.partitioned_index import PartitionedIndex, plain_drop
from turnback.engine.outside.run import (
    begin_message,
    changes_session,
    finish_message,
    rows_of,
    runs_alone,
    session_settings,
    timeouts_alone,
)
from turnback.engine.run import recreate
from turnback.engine.run.plan import Plan, Step
from turnback.engine.run.record import Recorder
from turnback.engine.run.session import Session
from turnback.engine.run.transaction import preview
from turnback.engine.session.connection import READING, lock_timeout_of
from turnback.engine.session.message import Connection
from turnback.engine.session.pooler import RESET
from turnback.engine.session.query import CATALOG_ONLY, OURSELVES, refusal, scalar
from turnback.errors import InvalidMigration, MigrationIncomplete
from turnback.migrations.model import Script
from turnback.migrations.psql import without_cuts
from turnback.sql.quoting import literal
from turnback.sql.tokens import Token, tokens

_OTHER_HISTORY = "turnback: the history is not the one that this script was made for; make it again"
# psql puts the value of its variable in the place of :NAME, :'NAME' and :"NAME"; those that it
# sets by itself have such names (manual, psql, "Variables").
_VARIABLE = re.compile(r""":['"]?[A-Z]""")
_NAME = re.compile(r"""['"]?[A-Z][A-Z0-9_]*['"]?""")
_NO_RECORD = "a script for psql cannot"


def script(session: Session, plan: Plan) -> Iterator[str]:
    """The parts of the script, each ending with a line end. Writes nothing to the database.

    Args:
        session: of the database that the script is for; its history is what the script expects.
        plan: what the script does.

    Raises:
        MigrationIncomplete: a migration is half done: only a run can continue it.
        InvalidMigration: a script that psql would read in another way.
    """
    for step in plan.steps:
        _refuse(step)
        _refuse_partitioned(session.connection, step)
    recorder = session.recorder
    applied = logged = 0
    there = session.history.exists()
    session.history.require_trust()
    if there:
        applied = sum(entry.applied for entry in session.history.entries())
        logged = scalar(session.connection, f"SELECT pg_catalog.count(*) FROM {recorder.log}")
    recorder.begin(applied, logged)
    yield _head(plan, session.connection.info.dbname)
    settings = {
        "client_encoding": "UTF8",
        "lock_timeout": lock_timeout_of(session.connection),
        "statement_timeout": 0,
        "idle_in_transaction_session_timeout": 0,
        **READING,
    }
    ours = " ".join(f"SET {name} = {literal(str(value))};" for name, value in settings.items())

    def sent(text: str) -> str:
        # RESET ALL goes back to the settings of psql's session. The first one is never the user's.
        return text.replace(RESET, f"{RESET}\n{ours}\n", 1)

    yield sent(f"{RESET}\nBEGIN;\n{CATALOG_ONLY}\n{recorder.lock_assertion}\n")
    yield f"{_same_history(session, there=there)}\nCOMMIT;\n"
    for step in plan.steps:
        verb = "applying" if step.direction == "up" else "rolling back"
        yield f"\n\\echo '{verb} {_plain(step.version)} {_plain(step.name)}'\n"
        if step.runnable.one_by_one:
            yield from (f"{text}\n" for text in _outside(step, recorder, sent))
        elif step.runnable.starts:
            yield f"BEGIN;\n{begin_message(step, recorder)};\nCOMMIT;\n"
            for text in divided.preview(step, recorder):
                yield f"BEGIN;\n{sent(text)}\n;\nCOMMIT;\n"
        else:
            last = ""
            if step.repeat:
                step, last = recreate.prepared(session.connection, step)
            yield f"{sent(_whole(step, recorder, last))}\n"
        recorder.count(step)
    yield "\n\\o\n\\echo 'done; turnback status shows every migration'\n"


def _head(plan: Plan, database: str) -> str:
    versions = ", ".join(_plain(step.version) for step in plan.steps)
    return (
        f"-- turnback {__version__}: {plan.direction} {versions} on {_plain(database)}\n"
        "-- Run it with psql, and not in a transaction: psql -X --file=THIS_FILE DATABASE_URL\n"
        "-- It stops at the first error (psql exits with 3), and if another run has the lock or\n"
        "-- has changed the history. What was committed before is kept and recorded.\n"
        "\\set ON_ERROR_STOP on\n"
        "\\set ON_ERROR_ROLLBACK off\n"
        "\\set AUTOCOMMIT on\n"
        "\\set QUIET on\n"
        "-- Results of queries are not shown. On Windows, write NUL for /dev/null.\n"
        "\\o /dev/null\n"
    )


def _plain(name: str) -> str:
    """A name for a comment, and for \\echo, without what could end either."""
    return re.sub(r"[^\w. /-]", "?", name)


def _same_history(session: Session, *, there: bool) -> str:
    """SQL that fails where the history is another one than now; makes or upgrades it."""
    migrations, log = session.recorder.migrations, session.recorder.log
    found = " AND ".join(
        f"pg_catalog.to_regclass({literal(table)}) IS {'NOT ' if there else ''}NULL"
        for table in (migrations, log)
    )
    check = f"SELECT CASE WHEN {found} THEN 0 ELSE {refusal(_OTHER_HISTORY)} END;"
    if not there:
        return f"{check}\n{session.history.creation()}"
    state = (
        f"pg_catalog.md5(pg_catalog.concat((SELECT pg_catalog.count(*) FROM {log}), "
        "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', m.version, m.checksum, m.success, "
        "m.rolled_back_at IS NULL), ',' ORDER BY m.version COLLATE pg_catalog.\"C\") "
        f"FROM {migrations} AS m)))"
    )
    now = literal(scalar(session.connection, f"SELECT {state}"))
    same = f"SELECT CASE WHEN {state} = {now} THEN 0 ELSE {refusal(_OTHER_HISTORY)} END;"
    return f"{check}\n{same}\n{session.history.upgrading()}"


def _whole(step: Step, recorder: Recorder, last: str) -> str:
    """A migration in a transaction, with statements that run right before the commit."""
    message = preview(step, recorder).removeprefix("BEGIN; ").removesuffix("; COMMIT")
    return f"BEGIN;\n{message}\n;\n{last and f'{last};'}\nCOMMIT;"


def _outside(step: Step, recorder: Recorder, sent: Callable[[str], str]) -> Iterator[str]:
    """A migration outside a transaction: each statement with its record."""
    yield f"BEGIN;\n{begin_message(step, recorder)};\nCOMMIT;"
    yield sent(_lines(session_settings(step, 0, RESET)))
    for number, statement in enumerate(step.runnable.statements or (), 1):
        record = recorder.statement(step, number, statement)
        if changes_session(statement):
            yield f"{statement.sql}\n;"
        elif not runs_alone(step, statement):
            recorded = f"{OURSELVES} {recorder.lock_assertion} {recorder.kept(record)}"
            yield f"BEGIN;\n{statement.sql}\n;\n{rows_of(statement)}{recorded};\nCOMMIT;"
        else:
            trying = recorder.trying(step, number, statement, None)
            yield f"BEGIN;\n{recorder.lock_assertion} {OURSELVES} {trying};\nCOMMIT;"
            yield _lines([*timeouts_alone(step, statement), f"{statement.sql}\n"])
            yield _lines(["RESET SESSION AUTHORIZATION", "RESET ROLE", record])
            yield sent(_lines(session_settings(step, number, RESET)))
    yield sent(f"BEGIN;\n{''.join(finish_message(step, recorder, 0))}\n;\nCOMMIT;")


def _lines(statements: Iterable[str]) -> str:
    return "\n".join(f"{text.removesuffix(';')};" for text in statements)


def _refuse(step: Step) -> None:
    if step.half:
        raise MigrationIncomplete(
            f"{step.version} is half done, and {_NO_RECORD} continue it",
            version=step.version,
            hint=f"run turnback {step.direction}; it continues there",
        )
    for runnable in (step.runnable, step.verify):
        if runnable is None:
            continue
        if runnable.statements is None:
            raise InvalidMigration(
                f"turnback cannot read this file, and {_NO_RECORD} find out what it does",
                file=runnable.script.path,
                version=step.version,
                hint=f"run it with turnback {step.direction}",
            )
        if runnable.ranged:
            raise InvalidMigration(
                "the rows of a migration in Python go through its code, which psql does not run"
                if runnable.ranged.code
                else "the batches of a backfill follow the time that they take, and a script for "
                "psql has no clock",
                file=runnable.script.path,
                line=runnable.ranged.options.line,
                version=step.version,
                hint=f"run it with turnback {step.direction}",
            )
        if runnable.swap:
            raise InvalidMigration(
                "a swap copies the table in batches that follow the time that they take, and a "
                "script for psql has no clock",
                file=runnable.script.path,
                line=runnable.swap.options.line,
                version=step.version,
                hint=f"run it with turnback {step.direction}",
            )
        _refuse_variables(runnable.script)


def _refuse_partitioned(connection: Connection, step: Step) -> None:
    """Refuse what PostgreSQL refuses of a partitioned table, and a run does in steps of its own."""
    for statement in (step.runnable.statements or ()) if step.runnable.one_by_one else ():
        if PartitionedIndex.of(connection, statement) or plain_drop(connection, statement):
            line, column = step.runnable.position(statement.offset)
            raise InvalidMigration(
                "PostgreSQL has no CONCURRENTLY for the index of a partitioned table; a run goes "
                f"from partition to partition, and {_NO_RECORD} record that",
                file=step.runnable.script.path,
                line=line,
                column=column,
                version=step.version,
                hint=f"run it with turnback {step.direction}",
            )


def _refuse_variables(script: Script) -> None:
    """Refuse what psql takes for a variable, where the server reads a colon and a name."""
    # psql leaves the rows of COPY as they are.
    sql = without_cuts(script.sql)
    if not _VARIABLE.search(sql):
        return
    before: list[Token] = []
    for token in tokens(sql):
        colons = [one for one in before if one.text == ":"]
        touching = before and before[-1].end == token.start
        single = len(colons) == 1 or (len(before) == 2 and before[0].end != before[1].start)
        if touching and before[-1].text == ":" and single and _NAME.fullmatch(token.text):
            line, column = script.position(before[-1].start)
            raise InvalidMigration(
                f"psql takes :{token.text} for a variable of its own",
                file=script.path,
                line=line,
                column=column,
                hint="write a space after the colon",
            )
        before = [*before[-1:], token]
