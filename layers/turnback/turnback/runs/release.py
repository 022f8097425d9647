"""Starting a run from outside AWS: check an artifact, upload it, or start an execution."""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from turnback.errors import AwsError, ConfigurationError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.release import parse_release
from turnback.migrations.scaffold import source_of
from turnback.runs.order import Order, Starter
from turnback.runs.state import ArtifactLocation
from turnback.runs.upload import run_id

# S3 events can be late by a minute (S3 user guide, "Event notifications").
START_S = 180.0
POLL_S = 1.0


class Bucket(Protocol):
    """The bucket of a stack."""

    def write_file(self, key: str, file: Path) -> str | None:
        """Upload a file; returns the version of the object, or None without versioning."""


class Machine(Starter, Protocol):
    """The state machine of a stack."""

    def describe(self, name: str) -> object | None:
        """The execution of this name, or None."""


@dataclass(frozen=True, slots=True)
class Package:
    """An artifact that was checked.

    Attributes:
        release: its release number.
        zip: the file.
        migrations: the number of migrations in it.
        sha256: of the file.
    """

    release: str
    zip: Path
    migrations: int
    sha256: str


@contextmanager
def checked_package(artifact: Path, release: str | None) -> Iterator[Package]:
    """An artifact, packed if it is a folder, and checked as the functions check it.

    Args:
        artifact: a zip or a folder.
        release: its release number; required for a folder and for a zip without release.json.

    Raises:
        ConfigurationError: it does not exist or is no zip, or no release is named.
        InvalidArtifact: it cannot be released.
    """
    if release is not None:
        parse_release(release)
    if not artifact.exists():
        raise ConfigurationError(
            f"there is no {artifact}", hint="make it: turnback package --release 1.4.0"
        )
    with tempfile.TemporaryDirectory(prefix="turnback-") as folder:
        archive = artifact
        if artifact.is_file() and artifact.suffix != ".zip":
            # S3 notifies the stack of keys that end with .zip only.
            raise ConfigurationError(
                f"{artifact.name} does not end with .zip, as an artifact does",
                hint="make it: turnback package --release 1.4.0; or name the folder",
            )
        if artifact.is_dir():
            if release is None:
                raise ConfigurationError(
                    f"{artifact} is a folder, and no release is named",
                    hint=f"turnback release {artifact} --release 1.4.0",
                )
            archive = Path(folder) / "artifact.zip"
            pack(artifact, release, archive, source=source_of(artifact))
        opened = open_artifact(archive, release=release)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield Package(opened.release, archive, len(opened.project.migrations), digest)


@dataclass(frozen=True, slots=True)
class Releaser:
    """Starts runs of one stack.

    Attributes:
        bucket: the stack's bucket; bucket_name is its name.
        machine: the state machine.
        target: the stack's target.
        caller: returns the ARN of whoever starts the runs.
    """

    bucket: Bucket
    bucket_name: str
    machine: Machine
    target: str
    caller: Callable[[], str]

    def upload(self, package: Package) -> tuple[ArtifactLocation, str]:
        """Upload an artifact, which starts its run; returns its location and the run's id.

        Raises:
            ConfigurationError: the bucket keeps no versions, so the run's id is not known.
        """
        key = f"artifacts/{self.target}/{package.release}.zip"
        version = self.bucket.write_file(key, package.zip)
        if version is None:
            raise ConfigurationError(
                f"{key} was uploaded, but the bucket {self.bucket_name} keeps no versions, so the "
                "id of its run is not known",
                hint="find it with turnback runs; turn versioning on, as template.yaml does",
            )
        location = ArtifactLocation(self.bucket_name, key, version, package.sha256)
        return location, run_id(self.bucket_name, key, version)

    def dry_run(self, package: Package) -> tuple[ArtifactLocation, str]:
        """Start a run that changes nothing; returns the artifact's location and the run's id."""
        run = _new_run()
        # An upload to artifacts/ would start a real run.
        key = f"runs/{run}/artifact.zip"
        self.bucket.write_file(key, package.zip)
        location = ArtifactLocation(self.bucket_name, key, sha256=package.sha256)
        return location, self._start(run, location, dry_run=True)

    def roll_back_to(self, release: str, *, dry_run: bool) -> str:
        """Start a run that rolls back everything after a release; returns its id."""
        return self._start(_new_run(), None, dry_run=dry_run, rollback_to=release)

    def await_start(self, run: str) -> None:
        """Wait until an upload has started its run.

        Raises:
            AwsError: it has not within three minutes.
        """
        deadline = time.monotonic() + START_S
        while self.machine.describe(run) is None:
            if time.monotonic() > deadline:
                raise AwsError(
                    f"the upload has not started a run within {START_S:.0f} s",
                    hint="see the log of OnUploadFunction, or its dead letter queue",
                )
            time.sleep(POLL_S)

    def _start(
        self,
        run: str,
        artifact: ArtifactLocation | None,
        *,
        dry_run: bool,
        rollback_to: str | None = None,
    ) -> str:
        trigger = f"release:{self.caller()}"
        order = Order(run, self.target, artifact, trigger, dry_run, rollback_to)
        self.machine.start(run, order.to_state())
        return run


def _new_run() -> str:
    return f"r-{uuid.uuid4().hex[:20]}"
