"""The database of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from turnback.runs.order import Order
from turnback.settings import DatabaseSettings
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

    def written(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What was written since these counters were taken."""
        from turnback.recovery.contents import written_since

        return written_since(before, self.counters())

    @contextmanager
    def connect(self, order: Order, release: str | None) -> Iterator[Engine]:
        """A session with the database for the ``with`` block, which tells how far it is."""
        from turnback.runs.watching.progress import ProgressRecord

        progress = ProgressRecord(self._of.bucket(), order.run, self._of.log.warning)

        def tell(event: Event) -> None:
            self._tell(event)
            progress(event)

        try:
            with self._connect(order, release, self.endpoint(), tell) as engine:
                yield engine
        finally:
            progress.close()

    def connect_at(self, order: Order, place: Place) -> Engine:
        """A session with a restored database, before it has the old one's name."""
        return self._connect(order, None, self.endpoint(place), self._tell)

    def _connect(
        self, order: Order, release: str | None, endpoint: Endpoint, listener: Listener
    ) -> Engine:
        from turnback.engine import Engine, Options, RunContext

        settings = DatabaseSettings.read(self._of.environment)
        return Engine(
            endpoint.conninfo(),
            context=RunContext(run=order.run, release=release or None, actor=order.trigger),
            history_schema=settings.history_schema,
            options=Options(runner_wait_s=self.runner_wait_s, detachable=True),
            listener=listener,
        )

    @property
    def runner_wait_s(self) -> float:
        """How long one call waits for another to end, seconds."""
        return DatabaseSettings.read(self._of.environment).runner_wait_seconds

    def endpoint(self, place: Place | None = None) -> Endpoint:
        """Where the database is, or a restored one, and how to get in."""
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

    def _tell(self, event: Event) -> None:
        told: dict[str, Any] = {
            "migration": event.version,
            "name_of_migration": event.name,
            "execution_ms": event.execution_ms,
            "text": event.text or None,
            "position": event.position,
            "total": event.total,
            "percent": event.percent,
        }
        fields = {name: value for name, value in told.items() if value is not None}
        self._of.log.info(event.kind, **fields)
