"""Fetching a run's artifact, and being sure that it is the one that was meant."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from turnback.errors import ChecksumMismatch
from turnback.migrations.artifact import Artifact, open_artifact
from turnback.runs.order import ArtifactLocation
from turnback.store import ObjectStore

KEY = re.compile(r"artifacts/(?P<target>[^/]+)/(?P<release>[^/]+)\.zip")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An artifact that is here, checked and extracted, and the SHA-256 of its zip."""

    artifact: Artifact
    sha256: str


@contextmanager
def fetched(store: ObjectStore, location: ArtifactLocation) -> Iterator[Fetched]:
    """The artifact of this place, extracted for as long as the block lasts.

    Raises:
        ChecksumMismatch: the zip, or a file in it, is not what it is said to be.
        InvalidArtifact: the zip is refused.
        AwsError: it cannot be read.
    """
    named = KEY.fullmatch(location.key)
    with tempfile.TemporaryDirectory(prefix="turnback-") as folder:
        archive = Path(folder) / "artifact.zip"
        into = Path(folder) / "release"
        into.mkdir()
        store.download(location.key, location.version_id, archive)
        with archive.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if location.sha256 and location.sha256.lower() != digest:
            raise ChecksumMismatch(
                f"the artifact's SHA-256 is {digest}, expected {location.sha256}",
                file=location.key,
                hint="upload it again, or start the run with the right checksum",
            )
        release = named["release"] if named else None
        yield Fetched(open_artifact(archive, into, release=release), digest)
