"""The artifact: one release as a zip, with everything needed to run it and to check it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnback.errors import (
    ChecksumMismatch,
    ConfigurationError,
    InvalidArtifact,
    TurnbackError,
)
from turnback.migrations.archive import extract
from turnback.migrations.checksums import FILE, compare, format_sums, scripts_of
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.migrations.release import parse_release

FORMAT = 1
MANIFEST = "release.json"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that was checked and extracted."""

    release: str
    project: Project
    rollback_to: str | None = None
    created_at: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)


def pack(
    folder: Path,
    release: str,
    out: Path,
    *,
    source: Mapping[str, str] | None = None,
    created_at: datetime | None = None,
    rollback_to: str | None = None,
) -> Path:
    """Write the artifact of a release; the same input gives the same bytes.

    Args:
        folder: the migrations; all of them, from the first.
        release: semantic version of the release.
        out: path of the zip to write, in one step.
        source: ``repository`` and ``commit``, as far as known.
        created_at: time for ``release.json``; now, if not given.
        rollback_to: the release that this one turns back to, if it does.

    Raises:
        ConfigurationError: the release is no semantic version.
        ChecksumMismatch: the files are not what SHA256SUMS says.
    """
    parse_release(release)
    project = load_project(folder)
    refuse(compare(project))
    manifest = {
        "format": FORMAT,
        "release": release,
        "created_at": (created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "source": dict(source or {}),
    }
    if rollback_to is not None:
        manifest["rollback_to"] = rollback_to
    temporary = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
            _add(archive, f"migrations/{FILE}", format_sums(project.sums or {}).encode())
            for path in sorted(script.path for script in scripts_of(project)):
                _add(archive, f"migrations/{path}", (folder / path).read_bytes())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def open_artifact(
    archive: Path, into: Path, *, release: str | None = None, folder: str | None = None
) -> Artifact:
    """Check an artifact and extract it.

    Args:
        archive: the zip.
        into: an empty folder to extract into.
        release: the release expected; a source artifact without ``release.json`` takes it as its
            own, any other must agree with it.
        folder: where the migrations are inside a source artifact, ``.`` for its root; other files
            next to them are left alone. Not given: wherever there is one folder ``sql``, and every
            file must be known to SHA256SUMS.

    Raises:
        InvalidArtifact: the zip is unsafe, damaged or not an artifact.
        ChecksumMismatch: a file is not what SHA256SUMS says.
    """
    extract(archive, into, below=None if folder == "." else folder, besides=MANIFEST)
    try:
        return _read(into, release, folder)
    except TurnbackError:
        for path in into.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _read(into: Path, release: str | None, folder: str | None) -> Artifact:
    root = into / folder if folder else _find_migrations(into)
    manifest = _read_manifest([into / MANIFEST, root / MANIFEST], release)
    project = load_project(root)
    refuse(compare(project))
    if folder is None:
        _refuse_strangers(project)
    return Artifact(
        release=manifest["release"],
        project=project,
        rollback_to=manifest.get("rollback_to"),
        created_at=manifest.get("created_at"),
        source=manifest.get("source") or {},
    )


def refuse(findings: list[TurnbackError]) -> None:
    """Raise the first finding, with the number of the others in its message."""
    if findings:
        first = findings[0]
        if len(findings) > 1:
            first.message += f" (and {len(findings) - 1} more)"
        raise first


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _ZIP_EPOCH)
    info.external_attr = 0o100644 << 16
    archive.writestr(info, data, zipfile.ZIP_DEFLATED)


def _find_migrations(into: Path) -> Path:
    candidates = [into, *sorted(path for path in into.iterdir() if path.is_dir())]
    found = [path for path in candidates if (path / "sql").is_dir()]
    if len(found) != 1:
        raise InvalidArtifact(
            "no folder 'sql' in the artifact" if not found else "several folders of migrations",
            hint="make artifacts with: turnback package --release 1.4.0",
        )
    return found[0]


def _read_manifest(places: list[Path], release: str | None) -> dict[str, Any]:
    place = next((path for path in places if path.is_file()), None)
    if place is None:
        if release is None:
            raise InvalidArtifact(
                f"there is no {MANIFEST} in the artifact",
                hint="make artifacts with: turnback package --release 1.4.0",
            )
        manifest: Any = {"format": FORMAT, "release": release}
    else:
        try:
            manifest = json.loads(place.read_text("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise InvalidArtifact(f"{MANIFEST} is not JSON: {exc}", file=MANIFEST) from exc
    if not isinstance(manifest, dict) or not isinstance(manifest.get("release"), str):
        raise InvalidArtifact(f"{MANIFEST} names no release", file=MANIFEST)
    if manifest.get("format") != FORMAT:
        raise InvalidArtifact(
            f"{MANIFEST} has format {manifest.get('format')!r}; this turnback reads {FORMAT}",
            file=MANIFEST,
            hint="use the turnback that made the artifact, or package it again",
        )
    for key in ("release", "rollback_to"):
        try:
            parse_release(manifest[key]) if manifest.get(key) is not None else None
        except (ConfigurationError, TypeError) as exc:
            raise InvalidArtifact(f"'{key}' is no release number: {exc}", file=MANIFEST) from exc
    if release is not None and manifest["release"] != release:
        raise InvalidArtifact(
            f"the artifact is release {manifest['release']}, expected {release}",
            file=MANIFEST,
            hint="the key of the upload and release.json must name one release",
        )
    return manifest


def _refuse_strangers(project: Project) -> None:
    known = {FILE, MANIFEST, *(project.sums or {})}
    for path in sorted(project.folder.rglob("*")):
        name = path.relative_to(project.folder).as_posix()
        if path.is_file() and name not in known:
            raise ChecksumMismatch(
                f"{FILE} does not know this file",
                file=name,
                hint="make artifacts with: turnback package --release 1.4.0",
            )
