"""What backup, snapshots and restore work with: a database and the place of its snapshots."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.aws.cloudformation import Stack, open_stack
from turnback.cli import param_types as types
from turnback.cli.database import open_url
from turnback.cli.options import project_settings
from turnback.cli.output import Output
from turnback.errors import ConfigurationError
from turnback.recovery.dumps.catalog import DumpCatalog, open_catalog
from turnback.recovery.endpoint import Endpoint
from turnback.runs.records import Records
from turnback.settings import DatabaseSettings, SnapshotSettings
from turnback.settings.recovery import RestoreSettings
from turnback.wording import duration

if TYPE_CHECKING:
    from turnback.aws.rds_clusters import Clusters
    from turnback.aws.rds_instances import Instances
    from turnback.recovery.by_hand import Pace, Report
    from turnback.recovery.managed.by_hand import ManagedAccess
    from turnback.recovery.model import Place, Restorer
    from turnback.store import Store

_MANAGED = ("rds", "aurora")
# Of a dump: its steps are of this process, and their states follow each other quickly.
_DUMP_PAUSE_S = 2.0

stack_option = click.option(
    "--stack",
    type=types.Given(),
    metavar="NAME",
    envvar="TURNBACK_STACK",
    show_envvar=True,
    help="The snapshots of this stack's database, by its SnapshotKind: dumps in its bucket, or "
    "snapshots of RDS.",
)


@dataclass(frozen=True, slots=True)
class Where:
    """The options that name a database and the place of its snapshots.

    Attributes:
        directory: the migrations; the project is beside them.
        url: the database's address.
        stack: name of a stack.
        place: a folder, or ``s3://bucket/prefix``.
    """

    directory: Path
    url: str | None = None
    stack: str | None = None
    place: str | None = None


class StackDatabase:
    """The database that a stack releases to."""

    def __init__(self, stack: Stack, url: str | None = None) -> None:
        """The database of this stack.

        Args:
            stack: a deployed stack.
            url: its address as a person gave it; else it is in the stack's secret.
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
    def managed(self) -> bool:
        """Whether RDS keeps its snapshots."""
        return self.kind in _MANAGED

    @property
    def settings(self) -> SnapshotSettings:
        """How the stack takes snapshots.

        Raises:
            ConfigurationError: a parameter is missing.
        """
        return SnapshotSettings.read(self._environment)

    @property
    def restore_settings(self) -> RestoreSettings:
        """How the stack restores."""
        return RestoreSettings.read(self._environment)

    @property
    def identifier(self) -> str:
        """The instance or cluster that the endpoint belongs to."""
        return self.settings.instance or self.settings.cluster

    @property
    def history_schema(self) -> str:
        """Schema of the history tables: of the stack's parameter, else of turnback.toml."""
        file = project_settings(click.get_current_context()).file
        named = file.history_schema(self.stack.name)
        given = self.stack.parameters.get("HistorySchema")
        return given or (named.get() if named else "public")

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

    def access(self, out: Output) -> ManagedAccess:
        """The database of a stack whose snapshots RDS keeps.

        Args:
            out: gets ``database`` of its document when the database is first connected to.
        """
        from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots
        from turnback.aws.s3 import Bucket
        from turnback.recovery.managed.by_hand import ManagedAccess

        databases: Instances | Clusters
        if self.kind == "rds":
            from turnback.aws.rds_instances import Instances
            from turnback.recovery.managed.restore import RestoreInstance

            databases = Instances()
            restorer: Restorer = RestoreInstance(databases, self.identifier, self.stack.name)
        else:
            from turnback.aws.rds_clusters import Clusters
            from turnback.recovery.managed.restore_cluster import RestoreCluster

            databases = Clusters()
            restorer = RestoreCluster(databases, self.identifier, self.stack.name)

        def reach(place: Place | None) -> Endpoint:
            endpoint = self.reach(place)
            if not out.document.get("database"):
                out.document["database"] = (self.reach() if place else endpoint).address
            return endpoint

        snapshots = InstanceSnapshots if self.kind == "rds" else ClusterSnapshots
        return ManagedAccess(
            kind=self.kind,
            identifier=self.identifier,
            target=self.stack.target,
            stack=self.stack.name,
            history_schema=self.history_schema,
            snapshots=snapshots(self.identifier),
            databases=databases,
            restorer=restorer,
            reach=reach if self.known else None,
            records=lambda run: Records(Bucket(self.stack.bucket), run),
        )

    def remains(self) -> list[str]:
        """What restores of it have left in RDS, a sentence each.

        Raises:
            AwsError: RDS does not answer, or refuses.
        """
        from turnback.recovery.managed.by_hand import remains_of_restores

        if self.kind == "rds":
            from turnback.aws.rds_instances import Instances

            return remains_of_restores(Instances(), "instance", self.identifier)
        from turnback.aws.rds_clusters import Clusters

        return remains_of_restores(Clusters(), "cluster", self.identifier)

    def reach(self, place: Place | None = None) -> Endpoint:
        """Where it is, or a restored one that is not in its place yet, and how to get in.

        Raises:
            ConfigurationError: it is not known.
            AwsError: the secret cannot be read.
        """
        from turnback.aws.rds_databases import auth_token
        from turnback.aws.secretsmanager import secret_fields

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


def managed_database(where: Where) -> StackDatabase | None:
    """The database of the named stack, where RDS keeps its snapshots; else None.

    Raises:
        ConfigurationError: there is no such stack.
        AwsError: AWS cannot be reached or refuses the call.
    """
    if not where.stack:
        return None
    found = StackDatabase(open_stack(where.stack, reading=True), where.url)
    return found if found.managed else None


@contextlib.contextmanager
def open_endpoint(where: Where, out: Output) -> Iterator[Endpoint]:
    """The named database; else that of the stack, by its secret; else the project's own.

    Args:
        where: names them.
        out: gets ``database`` of its document.

    Raises:
        ConfigurationError: the stack does not say how its database is reached.
    """
    if where.url or not where.stack:
        with open_url(where.url, where.directory, out) as found:
            yield Endpoint.from_url(found)
        return
    endpoint = StackDatabase(open_stack(where.stack, reading=True)).reach()
    out.document["database"] = endpoint.address
    yield endpoint


def open_dumps(where: Where) -> DumpCatalog:
    """The dumps of the named place; else of the stack; else of the project.

    Raises:
        ConfigurationError: there is no such bucket or stack, or the stack makes no dumps.
    """
    if where.place or not where.stack:
        own = where.directory.resolve().parent / ".turnback" / "snapshots"
        return open_catalog(where.place or str(own), open_bucket)
    stack = open_stack(where.stack, reading=True)
    kind = stack.parameters.get("SnapshotKind", "dump")
    if kind != "dump":
        raise ConfigurationError(
            f"the snapshots of the stack {stack.name} are of the kind {kind}; there are no dumps",
            hint="set the parameter SnapshotKind, or name a place of dumps; for a database of RDS "
            "see docs/backup.md#rds-and-aurora",
        )
    return DumpCatalog(open_bucket(stack.bucket), stack.target)


def open_bucket(name: str) -> Store:
    """The bucket of this name."""
    from turnback.aws.s3 import Bucket

    return Bucket(name)


def pace_of(database: StackDatabase | None) -> Pace:
    """How often a restore is asked how far it is: of a stack, as its state machine does."""
    from turnback.recovery.by_hand import Pace

    return Pace(float(database.restore_settings.poll_seconds) if database else _DUMP_PAUSE_S)


def timed(out: Output) -> Report:
    """Shows progress, each line with the time since now."""
    began = time.monotonic()
    return lambda text: out.note(f"  {text} ({duration(time.monotonic() - began)})")


def keep_out_of_git(directory: Path) -> None:
    """A dump holds every row of the database: it must not be committed by mistake.

    Args:
        directory: the migrations; beside them is the folder ``.turnback``.

    Raises:
        ConfigurationError: it cannot be written.
    """
    folder = directory.resolve().parent / ".turnback"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}",
            hint="name another place: turnback backup --into FOLDER, and run it again",
        ) from error


def refuse_while_running(stack: Stack, force: str | None, out: Output) -> None:
    """A database is not replaced under a run that works on it.

    Args:
        stack: whose runs.
        force: why that does not matter; None to refuse.
        out: gets a warning.

    Raises:
        ConfigurationError: a run is not finished, and no reason was given.
    """
    from turnback.aws.stepfunctions import StateMachine

    running = StateMachine(stack.machine_arn).running()
    if not running:
        return
    named = ", ".join(running[:5])
    if not force:
        raise ConfigurationError(
            f"a run of {stack.name} is not finished: {named}",
            hint=f"turnback watch {running[0]} shows it, turnback cancel {running[0]} stops it; or "
            "say why it does not matter: --force REASON",
        )
    out.warn(f"{named} is not finished; restored anyway, because: {force}")
    out.document["forced"] = {"runs": running, "reason": force}
