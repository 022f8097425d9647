"""Runs a table swap: copy, compare, exchange; and the same swap back.

Where it is shows in the catalog: the schema beside has the other table, and a row with the state.
So a run that was cut off goes on, and a rollback knows what there is to undo. Each step is one
transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, scalar_row, tuple_row

from turnback.engine.backfill import run as backfill
from turnback.engine.backfill.records import Records
from turnback.engine.outside.run import begin_message, finish, half_undone
from turnback.engine.run.ladder import LOOK_EVERY_S, Ladder
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.session.events import EventKind
from turnback.engine.session.message import ServerError, send
from turnback.engine.session.query import OURSELVES, query, relation_oid
from turnback.engine.swap import mapping
from turnback.engine.swap.compare import compare, repair_missed
from turnback.engine.swap.exchange import MISSED, Around
from turnback.engine.swap.parts import Names, parts_of, signature
from turnback.engine.swap.prepare import around, prepare
from turnback.engine.swap.work import Work
from turnback.errors import LockTimeout, MigrationFailed, TurnbackError
from turnback.migrations.model import BATCH
from turnback.settings.pace import Pace
from turnback.sql.quoting import identifier, joined, literal

# A writer waits for the batch that has its row, and for the disk to take what the copy has written:
# so there is as much time without a batch as with one.
_TARGET_MS = _PAUSE_MS = 20
_PASSES = 3
_PLACE = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(table)s::oid
"""
# What it says is run: so nobody else may have written it.
_OURS = """
SELECT t.relowner = s.relowner AND t.relowner = n.nspowner AND s.relkind = 'r'
  FROM pg_catalog.pg_class t, pg_catalog.pg_class s
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
 WHERE t.oid = %(table)s::oid AND s.oid = %(state)s::oid
"""
# Those who may still see the rows as they were before the copy.
_OLDER = """
SELECT pg_catalog.concat_ws(' ', pid, xact_start, backend_xmin), pid
  FROM pg_catalog.pg_stat_activity
 WHERE backend_xmin IS NOT NULL AND datname = pg_catalog.current_database()
   AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
"""


def run(session: Session, step: Step, pace: Pace, ladder: Ladder) -> int:
    """Run a swap from where it is to its end, and return the milliseconds it took.

    Args:
        session: holds the lock of the run.
        step: the migration.
        pace: how fast the copy goes.
        ladder: how long an attempt may wait for its locks.

    Raises:
        MigrationFailed, RollbackFailed: it cannot begin, and nothing was changed.
        MigrationIncomplete: it stopped in the middle, or rows could not be copied.
        LockTimeout: it did not get its locks for too long.
        DatabaseUnreachable: the connection broke. The next run goes on from there.
    """
    change = step.runnable.swap
    assert change is not None
    began = time.monotonic()
    send(session.connection, session.recorder.reset)
    name = joined(change.options.table)
    oid = relation_oid(session.connection, name)
    if oid is None:
        raise MigrationFailed(
            f"there is no table {'.'.join(change.options.table)}",
            file=step.runnable.script.path,
            line=change.options.line,
            version=step.version,
            hint="correct table= in the directive",
        )
    ((schema, table),) = query(session.connection, _PLACE, tuple_row, {"table": oid})
    swap = _Swap(Work(session, step, change, ladder, Names(schema, table)), pace, began)
    try:
        return swap.run()
    except ServerError as error:
        failure = swap.work.failure(error)
        swap.record_what_is_left(failure)
        raise failure from error
    except TurnbackError as error:
        swap.record_what_is_left(error)
        raise


@dataclass(frozen=True, slots=True)
class _State:
    """Where a swap is; see ``prepare.py``.

    Attributes:
        direction: of the run that began it.
        state: ``copying``; ``swapped``, when the tables have changed places; ``back``, when they
            have done so again.
        signature: of what the copy was made from.
        after_exchange: what follows the exchange.
    """

    version: str
    direction: str
    state: str
    signature: str
    key: list[str]
    after_exchange: list[str]


@dataclass(frozen=True, slots=True)
class _Swap:
    work: Work
    pace: Pace
    began: float

    def run(self) -> int:
        """From the state that is found to the record of the migration."""
        work, step = self.work, self.work.step
        found = self._state()
        if found and found.version != step.version:
            raise work.refused(
                f"the swap of {found.version} has left the table as it was before it, in "
                f"{work.names.other}",
                "end it first, in a migration of its own: "
                f"DROP SCHEMA {identifier(work.names.beside)} CASCADE",
            )
        undoes = found is not None and found.direction == "up"
        if step.direction == "up" and found and (found.state == "back" or not undoes):
            raise half_undone(step)
        send(work.connection, begin_message(step, work.session.recorder))
        if step.direction == "down" and (undoes or step.half):
            return self._go_back(found)
        if found is None:
            prepare(work)
            found = self._state()
            assert found is not None
        work.key = found.key
        work.kept = "what was copied so far is kept"
        if found.state == "copying":
            self._copy(found)
            self._exchange(found, first=True)
        return self._finish(validate=True, drop=step.direction == "down")

    def _state(self) -> _State | None:
        """Where the swap is; None before it has begun."""
        names, connection = self.work.names, self.work.connection
        state = relation_oid(connection, names.state)
        if state is None:
            return None
        tables = {"table": self.work.oid(names.own), "state": state}
        if not query(connection, _OURS, scalar_row, tables)[0]:
            raise self.work.refused(
                f"the schema {names.beside} belongs to another role than {names.shown}",
                "find out who made it, and drop it",
            )
        sql = f"SELECT version, direction, state, signature, key, after_exchange FROM {names.state}"
        found = query(connection, sql, class_row(_State))
        return found[0] if found else None

    def _copy(self, state: _State) -> None:
        """Copy all rows, and compare them."""
        work, names = self.work, self.work.names
        own = work.oid(names.own)
        self._require_same(own, state)
        forth = mapping.forth(work, own, work.oid(names.other))
        pace = replace(
            self.pace,
            target_ms=min(self.pace.target_ms, _TARGET_MS),
            pause_ms=max(self.pace.pause_ms, _PAUSE_MS),
        )
        copy = mapping.ranged(work, forth.copy(BATCH), names.schema)
        backfill.run_over(work.session, work.step, copy, pace, work.ladder.meanwhile)
        send(work.connection, work.session.recorder.reset)
        self._wait_for_older()
        compare(work, forth)
        self._link(own)
        # The planner knows nothing of a table that is new.
        send(work.connection, f"VACUUM (ANALYZE, SKIP_LOCKED, TRUNCATE false) {names.other}")

    def _require_same(self, own: int, state: _State) -> None:
        if signature(parts_of(self.work.connection, own)) != state.signature:
            raise self.work.incomplete(
                f"{self.work.names.shown} was changed while it was copied",
                "begin anew: turnback down to the version before it, and turnback up",
            )

    def _wait_for_older(self) -> None:
        """Wait until nobody sees the rows as they were before the copy.

        A transaction of REPEATABLE READ that began before it does not see the rows of the copy: a
        row that it deletes would stay there.
        """
        work, connection = self.work, self.work.connection
        deadline = time.monotonic() + work.session.options.lock_retry_s
        waiting: dict[str, int] = dict(query(connection, _OLDER, tuple_row))
        said = False
        while waiting:
            work.ladder.meanwhile()
            now: dict[str, int] = dict(query(connection, _OLDER, tuple_row))
            waiting = {key: pid for key, pid in waiting.items() if key in now}
            pids = ", ".join(f"pid {pid}" for pid in waiting.values())
            if waiting and time.monotonic() > deadline:
                raise LockTimeout(
                    f"transactions that began before the copy was complete have not ended: {pids}",
                    file=work.step.runnable.script.path,
                    version=work.step.version,
                    hint=f"{work.kept}; run turnback {work.step.direction} again when they have",
                )
            if waiting and not said:
                work.say(EventKind.RETRYING, f"waits for transactions that began before: {pids}")
                said = True
            time.sleep(LOOK_EVERY_S)

    def _link(self, own: int) -> None:
        """Give the copy the foreign keys of the table; each row is checked once, at the end."""
        work, names = self.work, self.work.names
        there = work.oid(names.other)
        made = {part.sql for part in parts_of(work.connection, there) if part.phase == "link"}
        for part in parts_of(work.connection, own):
            if part.phase != "link":
                continue
            if part.sql not in made and part.sql.removesuffix(" NOT VALID") not in made:

                def attempt(ladder: Ladder, sql: str = part.on(names)) -> None:
                    send(work.connection, f"{work.own(ladder)} {sql}")

                work.with_locks(attempt)
            if part.after_exchange:
                send(work.connection, f"{OURSELVES} {part.validated(names)}")

    def _exchange(self, state: _State, *, first: bool) -> None:
        """Let the tables change places, once the locks are there and no row is missing."""
        work, names = self.work, self.work.names
        own, other = work.oid(names.own), work.oid(names.other)
        if first:
            self._require_same(own, state)
            mirror = mapping.forth(work, own, other)
        else:
            mirror = mapping.back(work, other, own, swapped=True)
        what = around(work, own, other, first=first)
        if not first:
            after = self._triggers_again(what, other)
        else:
            # Of a rollback that copies, the table as it was is not kept.
            kept = work.step.direction == "up"
            after = mapping.back(work, own, other, swapped=False).triggers if kept else []
        after_exchange = ", ".join(map(literal, what.validations()))
        exchange = [
            what.lock(),
            *what.exchange(first=first, before=mirror.without_triggers, after=after),
            f"UPDATE {names.state} SET state = '{'swapped' if first else 'back'}', "
            f"after_exchange = ARRAY[{after_exchange}]::pg_catalog.text[]",
        ]

        def attempt(ladder: Ladder) -> None:
            # Whoever waits does not wait for the disk as well: the record of the end does.
            relaxed = "SET LOCAL synchronous_commit = off"
            send(work.connection, f"{work.own(ladder)} {relaxed}; {'; '.join(exchange)}")

        for _ in range(_PASSES):
            repair_missed(work, mirror)
            try:
                work.with_locks(attempt, [names.own, *what.children])
            except ServerError as error:
                if MISSED not in error.message:
                    raise
            else:
                return
        raise work.incomplete(
            f"rows of {names.shown} are written that the other table does not take",
            f"run turnback {work.step.direction} again",
        )

    def _triggers_again(self, what: Around, other: int) -> list[str]:
        """What gives the triggers of a table that comes back the states that they have now."""
        parts = parts_of(self.work.connection, other)
        there = {part.name for part in parts if part.kind == "trigger"}
        return [
            part.after_exchange
            for part in what.parts
            if part.kind == "trigger" and part.name in there and part.after_exchange
        ]

    def _go_back(self, found: _State | None) -> int:
        """Undo a swap, as far as it has come."""
        work, names = self.work, self.work.names
        if found is None:
            return self._finish(validate=False, drop=False)
        work.key = found.key
        if found.state == "swapped":
            work.kept = "the table is as it was, and the one before it is current"
            # A run that was cut off has not come to it, and they are made as they are now.
            self._validate(found)
            self._exchange(found, first=False)
        if found.state == "copying":
            forth = mapping.forth(work, work.oid(names.own), work.oid(names.other))
            # A writer has the locks in this order.
            removed = [
                f"LOCK TABLE ONLY {names.own}, ONLY {names.other} IN ACCESS EXCLUSIVE MODE",
                *forth.without_triggers,
                self._dropped,
            ]

            def attempt(ladder: Ladder) -> None:
                send(work.connection, f"{work.own(ladder)} {'; '.join(removed)}")

            work.with_locks(attempt, [names.own])
        gone = found.state == "copying"
        return self._finish(validate=not gone, drop=not gone)

    def _validate(self, found: _State | None) -> None:
        """Let the server check the foreign keys that the exchange has made."""
        for sql in found.after_exchange if found else ():
            send(self.work.connection, f"{OURSELVES} {sql}")

    @property
    def _dropped(self) -> str:
        return f"DROP SCHEMA {identifier(self.work.names.beside)} CASCADE"

    def _finish(self, *, validate: bool, drop: bool) -> int:
        """What follows the exchange, and the record of the migration.

        Args:
            validate: whether foreign keys were made anew, and are to be checked.
            drop: whether the other table is of no use any more.
        """
        work = self.work
        step, recorder = work.step, work.session.recorder
        if validate:
            work.kept = "the tables have changed places, and that was kept"
            self._validate(self._state())
        records = Records(work.session.history.schema, step.version, step.direction)
        records.create(work.connection)
        end = [recorder.reset, OURSELVES, recorder.lock_assertion, f"{records.done()};"]
        if drop:
            end.append(f"{self._dropped};")
        took = int((time.monotonic() - self.began) * 1000)
        ran = f"the table of {step.version} was swapped, and that was kept"
        finish(work.session, step, took, ran, f"{' '.join(end)} ")
        return took

    def record_what_is_left(self, error: TurnbackError) -> None:
        """Record that there is a copy, so that the rollback script removes it."""
        session, step = self.work.session, self.work.step
        if not session.usable or step.direction != "up" or not self.work.kept:
            return
        if session.connection.info.transaction_status != TransactionStatus.IDLE:
            send(session.connection, "ROLLBACK")
        recorder = session.recorder
        send(session.connection, f"{recorder.reset} {recorder.left(step, 1, error.message)}")
