"""The artifact: one release as a zip, with everything needed to run it and to check it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
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
from turnback.migrations.checksums import FILE, checksums_of, compare, digest, format_sums
from turnback.migrations.discovery import load_project
from turnback.migrations.files import Files, Folder, ZippedFolder
from turnback.migrations.model import Project
from turnback.migrations.release import parse_release
from turnback.migrations.zips import Zip, ZipEntry, check_entries
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import without_addresses
from turnback.wording import cut

FORMAT = 1
MANIFEST = "release.json"
# The key of the manifest with the SHA-256 of turnback.toml.
_SETTINGS_SUM = "settings_sha256"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
MAX_MANIFEST_BYTES = 1024 * 1024
# Of the source, what anything reads, and no more of it: it goes into every message of the run.
SOURCE = ("repository", "commit")
SOURCE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that was checked."""

    release: str
    project: Project
    files: ZippedFolder = field(compare=False)
    rollback_to: str | None = None
    created_at: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)


def pack(
    folder: Path | Files,
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
        ConfigurationError: the release is not a semantic version.
        ChecksumMismatch: the files are not what SHA256SUMS says.
        InvalidArtifact: it has more or larger files than ``open_artifact`` reads.
        ConfigurationError: turnback.toml is wrong, or the addresses of databases cannot be
            removed from it.
    """
    parse_release(release)
    files = Folder(folder) if isinstance(folder, Path) else folder
    project = load_project(files)
    refuse(compare(project))
    manifest = {
        "format": FORMAT,
        "release": release,
        "created_at": (created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "source": dict(source or {}),
    }
    if rollback_to is not None:
        manifest["rollback_to"] = rollback_to
    settings = files.settings()
    if settings is not None:
        settings = without_addresses(settings)
        manifest[_SETTINGS_SUM] = digest(settings)
    temporary = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
            if settings is not None:
                _add(archive, SETTINGS, settings)
            _add(archive, f"migrations/{FILE}", format_sums(project.sums or {}).encode())
            for path in sorted(checksums_of(project)):
                _add(archive, f"migrations/{path}", files.read(path))
            # What would be refused when it is released is refused here.
            check_entries((entry.filename, entry) for entry in archive.infolist())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def open_artifact(
    archive: Path,
    into: Path | None = None,
    *,
    release: str | None = None,
    folder: str | None = None,
) -> Artifact:
    """Check an artifact, and read its project.

    Its files are not unpacked: they are read from the zip for as long as the project is used.

    Args:
        archive: the zip.
        into: the folder where a large file is unpacked while it is used; the temporary one, if not
            given.
        release: the release expected; a source artifact without ``release.json`` takes it as its
            own, any other must agree with it.
        folder: where the migrations are inside a source artifact, ``.`` for its root; other files
            next to them are left alone. Not given: wherever there is one folder ``sql``, and every
            file must be known to SHA256SUMS.

    Raises:
        InvalidArtifact: the zip is unsafe, damaged or not an artifact.
        ChecksumMismatch: a file is not what SHA256SUMS says.
        OutOfSpace: a large file of it could not be unpacked.
    """
    below = None if folder == "." else folder
    opened = Zip(archive, below=below, besides={MANIFEST, _beside(below or "", SETTINGS)})
    try:
        root = _find_migrations(opened) if folder is None else (below or "")
        manifest = _read_manifest(opened, root, release)
        # Beside the folder, as in a checkout: a zip of the folder alone has none.
        settings = opened.files.get(_beside(root, SETTINGS)) if root else None
        files = ZippedFolder(opened, root, _below(opened, root), into, settings)
        # A source has the file of its commit, as a zip has that somebody made without a manifest.
        packaged = folder is None and _manifest_entry(opened, root) is not None
        _check_settings(manifest, files, packaged=packaged)
        project = load_project(files)
        refuse(compare(project))
        if folder is None:
            _refuse_unknown_files(project, files)
    except BaseException:
        opened.close()
        raise
    return Artifact(
        release=manifest["release"],
        project=project,
        files=files,
        rollback_to=manifest.get("rollback_to"),
        created_at=manifest.get("created_at"),
        source=_source(manifest),
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


def folders_of_migrations(names: Iterable[str]) -> list[str]:
    """The folders among these paths that have a folder ``sql``: the root, ``""``, or one below.

    Where none has, those with a ``SHA256SUMS``, as of another tool's layout. Where everything is
    in one folder, as in a repository that was downloaded, that counts as root.
    """
    split = [name.split("/") for name in names]
    one = len({path[0] for path in split}) == 1
    with_sql = [path[: path.index("sql")] for path in split if "sql" in path[:-1]]
    with_sums = [path[:-1] for path in split if path[-1] == FILE]
    for found in (with_sql, with_sums):
        for deepest in (1, 2 if one else 1):
            if folders := {"/".join(path) for path in found if len(path) <= deepest}:
                return sorted(folders)
    return []


def _find_migrations(opened: Zip) -> str:
    found = folders_of_migrations(opened.files)
    if len(found) != 1:
        raise InvalidArtifact(
            f"several folders of migrations: {', '.join(found)}"
            if found
            else f"no folder 'sql' and no {FILE} in the artifact",
            hint="make artifacts with: turnback package --release 1.4.0",
        )
    return found[0]


def _beside(folder: str, name: str) -> str:
    """The path of a file beside a folder of the zip."""
    return f"{folder.rpartition('/')[0]}/{name}".lstrip("/")


def _below(opened: Zip, folder: str) -> dict[str, ZipEntry]:
    inside = f"{folder}/" if folder else ""
    return {
        path.removeprefix(inside): entry
        for path, entry in opened.files.items()
        if path.startswith(inside)
    }


def _manifest_entry(opened: Zip, root: str) -> ZipEntry | None:
    """At the root of the zip, or beside the folder of the migrations, or in it."""
    places = [MANIFEST, _beside(root, MANIFEST), f"{root}/{MANIFEST}"]
    return next((opened.files[path] for path in places if path in opened.files), None)


def _read_manifest(opened: Zip, root: str, release: str | None) -> dict[str, Any]:
    entry = _manifest_entry(opened, root)
    if entry is None:
        if release is None:
            raise InvalidArtifact(
                f"there is no {MANIFEST} in the artifact",
                hint="make artifacts with: turnback package --release 1.4.0",
            )
        manifest: Any = {"format": FORMAT, "release": release}
    else:
        manifest = _parse_manifest(opened, entry)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("release"), str):
        raise InvalidArtifact(f"{MANIFEST} names no release", file=MANIFEST)
    if type(manifest.get("format")) is not int or manifest["format"] != FORMAT:
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
    _check_types(manifest)
    if release is not None and manifest["release"] != release:
        raise InvalidArtifact(
            f"the artifact is release {manifest['release']}, expected {release}",
            file=MANIFEST,
            hint="the key of the upload and release.json must name one release",
        )
    return manifest


def _parse_manifest(opened: Zip, entry: ZipEntry) -> Any:
    if entry.file_size > MAX_MANIFEST_BYTES:
        raise InvalidArtifact(
            f"{entry.file_size:,} bytes; {MANIFEST} has at most {MAX_MANIFEST_BYTES:,}",
            file=MANIFEST,
        )
    try:
        manifest = json.loads(b"".join(opened.chunks(entry)).decode())
    except (ValueError, RecursionError) as exc:
        raise InvalidArtifact(f"{MANIFEST} is not JSON: {exc}", file=MANIFEST) from exc
    try:
        # JSON may escape half a character, which no output and no database accepts.
        json.dumps(manifest, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        half = f"\\u{ord(exc.object[exc.start]):04x}"
        raise InvalidArtifact(
            f"{MANIFEST} has a lone surrogate, {half}, which is no character", file=MANIFEST
        ) from exc
    return manifest


def _check_types(manifest: dict[str, Any]) -> None:
    created_at, source = manifest.get("created_at"), manifest.get("source")
    if not isinstance(manifest.get(_SETTINGS_SUM, ""), str):
        raise InvalidArtifact(f"{_SETTINGS_SUM!r} is no text", file=MANIFEST)
    if created_at is not None and not isinstance(created_at, str):
        raise InvalidArtifact("'created_at' is no text", file=MANIFEST)
    if source is not None and not (
        isinstance(source, dict) and all(isinstance(value, str) for value in source.values())
    ):
        raise InvalidArtifact("'source' is no object with texts as values", file=MANIFEST)


def _source(manifest: Mapping[str, Any]) -> dict[str, str]:
    found = manifest.get("source") or {}
    return {name: cut(found[name], SOURCE_LENGTH) for name in SOURCE if name in found}


def _check_settings(manifest: Mapping[str, Any], files: Files, *, packaged: bool) -> None:
    """Refuse a turnback.toml that is not the one that was packaged."""
    data, expected = files.settings(), manifest.get(_SETTINGS_SUM)
    if data is None and expected is not None:
        raise ChecksumMismatch(f"{MANIFEST} names this file, but it is not there", file=SETTINGS)
    if data is not None and expected != digest(data) and (expected is not None or packaged):
        raise ChecksumMismatch(
            f"differs from {MANIFEST}, which says {expected[:12]}…"
            if expected
            else f"{MANIFEST} does not know this file",
            file=SETTINGS,
            hint="make artifacts with: turnback package --release 1.4.0",
        )


def _refuse_unknown_files(project: Project, files: Files) -> None:
    known = {FILE, MANIFEST, *(project.sums or {}), *project.ignored}
    for path in sorted(files.below("")):
        if path not in known:
            raise ChecksumMismatch(
                f"{FILE} does not know this file",
                file=path,
                hint="make artifacts with: turnback package --release 1.4.0",
            )
