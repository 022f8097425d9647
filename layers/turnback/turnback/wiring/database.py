"""The database of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from turnback.settings import DatabaseSettings, Policy
from turnback.wiring.invocation import Invocation

if TYPE_CHECKING:
    from turnback.engine import Engine, Event, Listener
    from turnback.recovery.endpoint import Endpoint
    from turnback.recovery.model import Place


class Database:
    """The database of the stack, for one invocation."""

    def __init__(self, invocation: Invocation) -> None:
        self._of = invocation

    def counters(self) -> dict[str, Any]:
        """The counters of written rows, as they are now."""
        from turnback.recovery.contents import counters

        return counters(self.endpoint())

    def dump_schemas(self, names: Sequence[str]) -> str:
        """The SQL of some schemas, as pg_dump writes it."""
        from turnback.recovery.dumps.schemas import dump_schemas

        return dump_schemas(self.endpoint(), names)

    @contextmanager
    def connect(self, release: str | None, history_schema: str = "") -> Iterator[Engine]:
        """A session with the database for the ``with`` block, which records its progress.

        Args:
            release: named by the rows that the session writes into the history.
            history_schema: schema of the history tables; of the run's plan if not given. That of
                the stack's parameter takes precedence.
        """
        from turnback.runs.reporting.progress import ProgressRecord

        progress = ProgressRecord(self._of.bucket(), self._of.order.run, self._of.log.warning)

        def listen(event: Event) -> None:
            self._log(event)
            progress(event)

        try:
            schema = self.given_history_schema or history_schema or self.history_schema
            with self._connect(release, self.endpoint(), listen, schema) as engine:
                yield engine
        finally:
            progress.close()

    def connect_at(self, place: Place) -> Engine:
        """A session with a restored database, before it has the old one's name."""
        return self._connect(None, self.endpoint(place), self._log, self.history_schema)

    @property
    def given_history_schema(self) -> str:
        """The schema of the history as the stack's parameter names it; "" where it names none."""
        return DatabaseSettings.read(self._of.environment).history_schema

    @property
    def history_schema(self) -> str:
        """The schema of the history: of the stack's parameter, else as the run was planned."""
        return self.given_history_schema or self._of.records.plan().history_schema

    def _connect(
        self, release: str | None, endpoint: Endpoint, listener: Listener, history_schema: str
    ) -> Engine:
        from turnback.engine import Engine, Options, RunContext
        from turnback.engine.session.connection import untested

        order = self._of.order

        def connect() -> Engine:
            return Engine(
                endpoint.conninfo,
                context=RunContext(run=order.run, release=release or None, actor=order.trigger),
                history_schema=history_schema,
                options=Options(
                    runner_wait_s=self.runner_wait_s,
                    detachable=True,
                    code=Policy.read(self._of.environment).code,
                    backfills_later=True,
                ),
                listener=listener,
            )

        engine = endpoint.connected(connect)
        # What a standby shows may be old, and a run decides by it.
        engine.refuse_read_only()
        if warning := untested(engine.connection):
            self._of.log.warning(warning)
        return engine

    @property
    def runner_wait_s(self) -> float:
        """How long one call waits for another of the same run, in seconds."""
        return DatabaseSettings.read(self._of.environment).runner_wait_seconds

    def endpoint(self, place: Place | None = None) -> Endpoint:
        """Where the database is, or a restored one, and how to connect."""
        from turnback.aws.rds_databases import auth_token
        from turnback.aws.secretsmanager import secret_fields
        from turnback.recovery.endpoint import Endpoint

        return Endpoint.of_settings(
            DatabaseSettings.read(self._of.environment),
            str(files("turnback.aws") / "rds-global-bundle.pem"),
            secret=secret_fields,
            token=auth_token,
            place=place,
        )

    def _log(self, event: Event) -> None:
        known: dict[str, Any] = {
            "migration": event.version,
            "name_of_migration": event.name,
            "execution_ms": event.execution_ms,
            "text": event.text or None,
            "position": event.position,
            "total": event.total,
            "percent": event.percent,
        }
        fields = {name: value for name, value in known.items() if value is not None}
        self._of.log.info(event.kind, **fields)
