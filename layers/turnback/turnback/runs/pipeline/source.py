"""The source of a pipeline, made into the artifact of a run."""

from __future__ import annotations

import tempfile
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Protocol

from turnback.errors import InvalidArtifact
from turnback.migrations.artifact import (
    MANIFEST,
    Artifact,
    folders_of_migrations,
    open_artifact,
    pack,
)
from turnback.migrations.checksums import FILE as SUMS
from turnback.migrations.zips import names_in
from turnback.runs.pipeline.job import EXAMPLE, Job, Parameters, Source, artifact_key
from turnback.store import ObjectStore

# The source may be a whole repository; what is extracted has its own, lower limits.
MAX_SOURCE_BYTES = 512 * 1024 * 1024
USUAL_FOLDER = "migrations"
WHERE = f"say where the migrations are, in the UserParameters of the action: {EXAMPLE}"


class SourceStore(Protocol):
    """A pipeline's artifacts, read with a job's credentials."""

    def download(self, bucket: str, key: str, into: Path, *, most: int) -> datetime:
        """Store an object as a file; say when it was written."""


def prepare(job: Job, parameters: Parameters, *, source: SourceStore, store: ObjectStore) -> str:
    """Read the job's source, check it, and store the artifact of its run.

    The same job gives the same artifact, byte for byte.

    Args:
        job: the job.
        parameters: what its action asks for.
        source: where the pipeline's artifacts are.
        store: where the run's artifact goes.

    Returns:
        The artifact's SHA-256, hex.

    Raises:
        InvalidArtifact: it is not a zip, has no migrations, or no release number.
        ChecksumMismatch: a file is not what SHA256SUMS says.
        ConfigurationError: the action has no such input.
        AwsError: it cannot be read or stored.
    """
    found = job.source(parameters.artifact)
    with tempfile.TemporaryDirectory(prefix="turnback-") as name:
        folder = Path(name)
        written = source.download(
            found.bucket, found.key, folder / "source.zip", most=MAX_SOURCE_BYTES
        )
        made = canonical(folder, parameters, found, written)
        store.write_file(artifact_key(job.run()), made)
        with made.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()


def canonical(folder: Path, parameters: Parameters, found: Source, written: datetime) -> Path:
    """The artifact of ``source.zip`` in this folder, next to it.

    Args:
        folder: a folder of our own.
        parameters: what the action asks for.
        found: the source.
        written: when it was written, for where ``release.json`` does not say when it was made.
    """
    archive = folder / "source.zip"
    path, described = _look(archive, parameters)
    artifact = open_artifact(
        archive, release=None if described else parameters.release, folder=path
    )
    if parameters.release and artifact.release != parameters.release:
        raise InvalidArtifact(
            f"{MANIFEST} says release {artifact.release}, the UserParameters of the action say "
            f"{parameters.release}",
            file=MANIFEST,
            hint="name the release in only one of the two",
        )
    return pack(
        artifact.files,
        artifact.release,
        folder / "artifact.zip",
        source=_origin(artifact, parameters, found),
        created_at=_made(artifact) or written,
        rollback_to=artifact.rollback_to,
    )


def _look(archive: Path, parameters: Parameters) -> tuple[str, bool]:
    """Where the migrations are in the zip, and whether there is a ``release.json``."""
    try:
        names = names_in(archive)
    except InvalidArtifact as error:
        error.hint = (
            "make the source action produce a zip: OutputArtifactFormat CODE_ZIP, and for S3 an "
            "object that is a zip"
        )
        raise
    path = parameters.folder or _folder(names)
    sums = _inside(path, SUMS) in names
    if not sums and not any(name.startswith(_inside(path, "sql/")) for name in names):
        raise InvalidArtifact(
            f"there is no folder '{_inside(path, 'sql')}' in the source artifact", hint=WHERE
        )
    described = MANIFEST in names or _inside(path, MANIFEST) in names
    if not described and not parameters.release:
        raise InvalidArtifact(
            f"the release has no number: there is no {MANIFEST} in the source, and no "
            "release in the UserParameters of the action",
            hint=f"add it to the UserParameters: {EXAMPLE}",
        )
    return path, described


def _folder(names: set[str]) -> str:
    """The one folder with migrations, at the root of the zip or one below; else the usual one."""
    found = folders_of_migrations(names)
    if len(found) > 1 and USUAL_FOLDER not in found:
        raise InvalidArtifact(
            "several folders of migrations in the source artifact: "
            + ", ".join(name or "." for name in found),
            hint=WHERE,
        )
    return found[0] or "." if len(found) == 1 else USUAL_FOLDER


def _inside(path: str, name: str) -> str:
    return name if path == "." else f"{path}/{name}"


def _origin(artifact: Artifact, parameters: Parameters, found: Source) -> dict[str, str]:
    known = {
        "repository": parameters.repository,
        "commit": parameters.commit or found.revision or "",
        **{name: str(value) for name, value in artifact.source.items()},
    }
    return {name: value for name, value in known.items() if value}


def _made(artifact: Artifact) -> datetime | None:
    try:
        return datetime.fromisoformat(artifact.created_at or "")
    except (TypeError, ValueError):
        return None
