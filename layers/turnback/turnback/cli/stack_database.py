"""The database of a stack, as its parameters name it: its kind of snapshots, and the way in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.cli.database import open_url
from turnback.cli.output import Output
from turnback.cli.stack import Stack, open_stack
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.recovery.endpoint import Endpoint
    from turnback.recovery.model import Place
    from turnback.settings import SnapshotSettings
    from turnback.settings.recovery import RestoreSettings

MANAGED = ("rds", "aurora")


class StackDatabase:
    """The database that a stack releases to."""

    def __init__(self, stack: Stack, url: str | None = None) -> None:
        """The database of this stack.

        Args:
            stack: a deployed stack.
            url: its address as a person gave it; else the stack's secret says it.
        """
        self.stack = stack
        self._url = url
        # The functions get a parameter under its name in capitals: DbInstanceIdentifier as
        # DB_INSTANCE_IDENTIFIER.
        self._environment = {
            re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): value
            for name, value in stack.parameters.items()
        }

    @property
    def kind(self) -> str:
        """``rds``, ``aurora``, ``dump`` or ``none``."""
        return self.stack.parameters.get("SnapshotKind") or "dump"

    @property
    def settings(self) -> SnapshotSettings:
        """How the stack takes snapshots.

        Raises:
            ConfigurationError: a parameter is missing.
        """
        from turnback.settings import SnapshotSettings

        return SnapshotSettings.read(self._environment)

    @property
    def restore_settings(self) -> RestoreSettings:
        """How the stack restores."""
        from turnback.settings.recovery import RestoreSettings

        return RestoreSettings.read(self._environment)

    @property
    def identifier(self) -> str:
        """The instance or cluster that the endpoint belongs to."""
        return self.settings.instance or self.settings.cluster

    @property
    def history_schema(self) -> str:
        """Schema of the history tables."""
        return self.stack.parameters.get("HistorySchema") or "public"

    @property
    def known(self) -> bool:
        """Whether there is an address, or the stack's parameters lead to one."""
        parameters = self.stack.parameters
        by_token = ("DatabaseHost", "DatabaseUser", "DatabaseName")
        return bool(
            self._url
            or parameters.get("DatabaseSecretArn")
            or all(parameters.get(name) for name in by_token)
        )

    def reach(self, place: Place | None = None) -> Endpoint:
        """Where it is, or a restored one that is not in its place yet, and how to get in.

        Raises:
            ConfigurationError: nobody says so.
            AwsError: the secret cannot be read.
        """
        from turnback.aws.rds_databases import auth_token
        from turnback.aws.secretsmanager import secret_fields
        from turnback.recovery.endpoint import Endpoint
        from turnback.settings import DatabaseSettings

        if self._url:
            found = Endpoint.from_url(self._url)
            return found.at(place) if place else found
        if not self.known:
            raise ConfigurationError(
                f"the stack {self.stack.name} does not say how its database is reached",
                hint="give --database-url or DATABASE_URL",
            )
        return Endpoint.of_settings(
            DatabaseSettings.read(self._environment),
            str(files("turnback.aws") / "rds-global-bundle.pem"),
            secret=secret_fields,
            token=auth_token,
            place=place,
        )


def managed_database(stack: str | None, url: str | None) -> StackDatabase | None:
    """The database of the named stack, where RDS keeps its snapshots; else None.

    Args:
        stack: name of a stack, or None.
        url: the database's address, where one was given.

    Raises:
        ConfigurationError: no such stack.
        AwsError: AWS cannot be reached or refuses us.
    """
    if not stack:
        return None
    found = StackDatabase(open_stack(stack, reading=True), url)
    return found if found.kind in MANAGED else None


@contextlib.contextmanager
def open_endpoint(
    url: str | None, stack: str | None, directory: Path, out: Output
) -> Iterator[Endpoint]:
    """The named database; else that of the stack, by its secret; else the project's own.

    Args:
        url: the database's address.
        stack: name of a stack.
        directory: the migrations; the project's own server is kept beside them.
        out: gets ``database`` of its document.

    Raises:
        ConfigurationError: the stack does not say how its database is reached.
    """
    from turnback.recovery.endpoint import Endpoint

    if url or not stack:
        with open_url(url, directory, out) as found:
            yield Endpoint.from_url(found)
        return
    endpoint = StackDatabase(open_stack(stack, reading=True)).reach()
    out.document["database"] = shown(endpoint)
    yield endpoint


def shown(endpoint: Endpoint) -> str:
    """``host:port/database``, for people."""
    from turnback.engine.session.connection import describe

    return describe(endpoint.conninfo())


def refuse_while_running(stack: Stack, force: str | None, out: Output) -> None:
    """A database is not replaced under a run that works on it.

    Args:
        stack: whose runs.
        force: why it is right all the same; None where nobody said so.
        out: where to tell.

    Raises:
        ConfigurationError: a run goes on, and nobody said why that does not matter.
    """
    from turnback.aws.stepfunctions import StateMachine

    running = StateMachine(stack.machine_arn).running()
    if not running:
        return
    named = ", ".join(running[:5])
    if not force:
        raise ConfigurationError(
            f"a run of {stack.name} goes on: {named}",
            hint=f"turnback watch {running[0]} shows it, turnback cancel {running[0]} stops it; or "
            "say why it does not matter: --force REASON",
        )
    out.note(f"warning: {named} goes on; restored all the same, because: {force}")
    out.document["forced"] = {"runs": running, "reason": force}
