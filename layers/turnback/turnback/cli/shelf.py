"""Where snapshots are kept: a folder, a bucket, or the bucket of a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnback.cli import options as opt
from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from turnback.recovery.dumps.catalog import DumpRecord
    from turnback.store import Store

_S3 = re.compile(r"s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?")

stack = click.option(
    "--stack",
    type=opt.Given(),
    envvar="TURNBACK_STACK",
    show_envvar=True,
    help="The snapshots of this stack's database, in its bucket.",
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place with snapshots.

    Attributes:
        store: the bucket or the folder.
        prefix: what the key of every snapshot begins with.
        target: whose they are; None where they are of many.
        stack: name of the stack; None where there is none.
    """

    store: Store
    prefix: str
    target: str | None = None
    stack: str | None = None

    @property
    def address(self) -> str:
        """For people: the folder's path, or ``s3://bucket/prefix``."""
        return f"{self.store.prefix}{self.prefix}"


def open_shelf(place: str | None, stack_name: str | None, directory: Path) -> Shelf:
    """The named place; else the stack's bucket; else ``.turnback/snapshots`` of the project.

    Args:
        place: a folder, or ``s3://bucket/prefix``.
        stack_name: name of a stack.
        directory: the migrations; the project is beside them.

    Raises:
        ConfigurationError: no such bucket or stack can be, or the stack makes no dumps.
    """
    from turnback.recovery.dumps.store import FolderStore

    if place:
        found = _S3.fullmatch(place)
        if found:
            from turnback.aws.s3 import Bucket

            key = (found["key"] or "").strip("/")
            return Shelf(Bucket(found["bucket"]), f"{key}/" if key else "")
        if "://" in place:
            raise ConfigurationError(
                f"{place} is neither a folder nor s3://bucket/prefix", hint="name one of these"
            )
        return Shelf(FolderStore(Path(place)), "")
    if stack_name:
        return _of_stack(stack_name)
    return Shelf(FolderStore(directory.resolve().parent / ".turnback" / "snapshots"), "")


def find(snapshot: str, shelf: Shelf) -> tuple[Store, DumpRecord]:
    """The snapshot of this id, file path or ``s3://`` address, and where it is.

    Raises:
        ConfigurationError: there is none, or no record of it.
    """
    from turnback.recovery.dumps.catalog import DumpCatalog, read_record
    from turnback.recovery.dumps.store import FolderStore

    found = _S3.fullmatch(snapshot)
    if found or Path(snapshot).is_file():
        if found:
            from turnback.aws.s3 import Bucket

            store: Store = Bucket(found["bucket"])
            key = found["key"] or ""
        else:
            store, key = FolderStore(Path(snapshot).parent), Path(snapshot).name
        record = read_record(store, key)
        if record is None:
            raise ConfigurationError(
                f"there is no record beside {snapshot} ({Path(snapshot).name}.json), so nobody "
                "knows whether it is whole",
                hint="copy the record as well; docs/backup.md says how to restore without one",
            )
        return store, record
    dumps = DumpCatalog(shelf.store, shelf.prefix).list(shelf.target)
    matching = [record for record in dumps if snapshot in (record.run, record.id)]
    if not matching:
        raise ConfigurationError(
            f"there is no snapshot {snapshot!r} in {shelf.address}, and no file of this name",
            hint="turnback snapshots lists those there are"
            + (f"; the newest is {dumps[0].run}" if dumps else ""),
        )
    if len(matching) > 1:
        raise ConfigurationError(
            f"there are several snapshots {snapshot!r}",
            hint="name one by its address: " + ", ".join(record.id for record in matching),
        )
    return shelf.store, matching[0]


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
            ignore.write_text("*\n")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}",
            hint="name another place: --into FOLDER",
        ) from error


def _of_stack(name: str) -> Shelf:
    from turnback.aws.s3 import Bucket
    from turnback.cli.stack import open_stack

    found = open_stack(name, reading=True)
    kind = found.parameters.get("SnapshotKind", "dump")
    if kind != "dump":
        raise ConfigurationError(
            f"the snapshots of the stack {found.name} are of the kind {kind}; there are no dumps",
            hint="set the parameter SnapshotKind, or name a place of dumps; for a database of RDS "
            "see docs/restore-rds.md",
        )
    return Shelf(Bucket(found.bucket), "snapshots/", found.target, found.name)
