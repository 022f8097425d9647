"""The artifact: one release as a zip, with everything needed to run it and to check it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from turnback.errors import (
    ChecksumMismatch,
    ConfigurationError,
    InvalidArtifact,
    TurnbackError,
)
from turnback.migrations.checksums import FILE, compare, format_sums, scripts_of
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.migrations.release import parse_release
from turnback.wording import cut

FORMAT = 1
MANIFEST = "release.json"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# Ten thousand migrations with their rollback and verify scripts.
MAX_ENTRIES = 40_000
# Of a whole repository, of which one folder is read.
MAX_ENTRIES_IN_ALL = 100_000
# An entry of the zip's directory has 46 bytes, its name and its extra fields.
_DIRECTORY_BYTES_AN_ENTRY = 300
MAX_MANIFEST_BYTES = 1024 * 1024
# Of the source, what anything reads, and no more of it: it goes into every message of the run.
SOURCE = ("repository", "commit")
SOURCE_LENGTH = 500
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_RATIO = 200
# Under this size a high ratio is harmless, and ordinary for repetitive SQL.
_RATIO_MATTERS_FROM = 64 * 1024
_CHUNK = 1024 * 1024
_LONGEST_NAME_BYTES = 255
# Below the 4096 of Linux by more than any folder to extract into.
_LONGEST_PATH_BYTES = 1024
# The records that end a zip (APPNOTE.TXT, 4.3.14 to 4.3.16): entries and bytes of its directory.
_END = struct.Struct("<4s6xHL6x")
_END_64_LOCATOR_BYTES = 20
_END_64 = struct.Struct("<4s28xQQ8x")
_END_64_BEFORE = _END_64.size + _END_64_LOCATOR_BYTES
_LONGEST_COMMENT = 0xFFFF


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
        ConfigurationError: the release is not a semantic version.
        ChecksumMismatch: the files are not what SHA256SUMS says.
        InvalidArtifact: it has more or larger files than ``open_artifact`` reads.
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
            # What would be refused when it is released is refused here.
            _check_sizes(_checked(archive.infolist()))
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
        _refuse_unknown_files(project)
    return Artifact(
        release=manifest["release"],
        project=project,
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
        manifest = _parse_manifest(place)
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


def _parse_manifest(place: Path) -> Any:
    size = place.stat().st_size
    if size > MAX_MANIFEST_BYTES:
        raise InvalidArtifact(
            f"{size:,} bytes; {MANIFEST} has at most {MAX_MANIFEST_BYTES:,}", file=MANIFEST
        )
    try:
        manifest = json.loads(place.read_text("utf-8"))
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
    if created_at is not None and not isinstance(created_at, str):
        raise InvalidArtifact("'created_at' is no text", file=MANIFEST)
    if source is not None and not (
        isinstance(source, dict) and all(isinstance(value, str) for value in source.values())
    ):
        raise InvalidArtifact("'source' is no object with texts as values", file=MANIFEST)


def _source(manifest: Mapping[str, Any]) -> dict[str, str]:
    found = manifest.get("source") or {}
    return {name: cut(found[name], SOURCE_LENGTH) for name in SOURCE if name in found}


def _refuse_unknown_files(project: Project) -> None:
    known = {FILE, MANIFEST, *(project.sums or {})}
    for path in sorted(project.folder.rglob("*")):
        name = path.relative_to(project.folder).as_posix()
        if path.is_file() and name not in known:
            raise ChecksumMismatch(
                f"{FILE} does not know this file",
                file=name,
                hint="make artifacts with: turnback package --release 1.4.0",
            )


def extract(archive: Path, into: Path, *, below: str | None = None, besides: str = "") -> None:
    """Extract a zip from an untrusted source: every entry is checked before one is written.

    Args:
        archive: the zip.
        into: the folder to extract into.
        below: only what lies below this folder of the zip; the rest of a repository, its links
            among it, is neither extracted nor judged.
        besides: one file that is extracted all the same, if it is there.

    Raises:
        InvalidArtifact: it is not a zip, is damaged, or has an unsafe entry.
    """
    try:
        with archive.open("rb") as file:
            _check_directory(file, MAX_ENTRIES if below is None else MAX_ENTRIES_IN_ALL)
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(
                [
                    entry
                    for entry in opened.infolist()
                    if entry.filename == besides or _wanted(entry.filename, below)
                ]
            )
            _check_sizes(entries)
            files = [entry for entry in entries if not entry.is_dir()]
            for folder in {os.path.dirname(entry.filename) for entry in files}:  # noqa: PTH120
                (into / folder).mkdir(parents=True, exist_ok=True)
            for entry in files:
                _write(opened, entry, f"{into}/{entry.filename}")
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise InvalidArtifact(
            f"the artifact is not a sound zip file: {exc}",
            hint="upload it again; make artifacts with: turnback package --release 1.4.0",
        ) from exc
    except UnicodeDecodeError as exc:
        raise InvalidArtifact(
            "the name of an entry is not UTF-8, though the zip says so",
            hint="make artifacts with: turnback package --release 1.4.0",
        ) from exc
    except (NotImplementedError, RuntimeError) as exc:
        raise InvalidArtifact(f"the zip uses a feature that is not supported: {exc}") from exc


def _check_directory(file: BinaryIO, most: int) -> None:
    """Refuse a directory of too many entries before it is read, which takes memory for each.

    The number may be a lie, so the bytes are limited as well. A zip without an end record is
    refused when it is opened.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _LONGEST_COMMENT - _END.size - _END_64_BEFORE, 0))
    tail = file.read()
    # As zipfile looks for it: at the very end, else the last one before a comment.
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        return
    _, entries, length = _END.unpack_from(tail, at)
    if at >= _END_64_BEFORE and tail[at - _END_64_LOCATOR_BYTES :][:4] == b"PK\6\7":
        mark, *large = _END_64.unpack_from(tail, at - _END_64_BEFORE)
        if mark == b"PK\6\6":
            entries, length = large
    if entries > most:
        raise InvalidArtifact(f"{entries} entries; at most {most} are read")
    if length > most * _DIRECTORY_BYTES_AN_ENTRY:
        raise InvalidArtifact(
            f"the zip's directory has {length:,} bytes; at most "
            f"{most * _DIRECTORY_BYTES_AN_ENTRY:,} are read"
        )


def _wanted(name: str, below: str | None) -> bool:
    return below is None or name.startswith(below.rstrip("/") + "/")


def _checked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    if len(entries) > MAX_ENTRIES:
        raise InvalidArtifact(f"{len(entries)} entries; at most {MAX_ENTRIES} are read")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        path = PurePosixPath(name)
        if _leaves_folder(path, entry.orig_filename):
            raise InvalidArtifact("this path leaves the folder", file=name)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InvalidArtifact("links and special files are refused", file=name)
        if entry.flag_bits & 0x1:
            raise InvalidArtifact("encrypted entries are refused", file=name)
        if path.as_posix() in seen:
            raise InvalidArtifact("this entry is there twice", file=name)
        if max(len(part.encode()) for part in path.parts) > _LONGEST_NAME_BYTES:
            raise InvalidArtifact("this name is too long for a file", file=name)
        if len(name.encode()) > _LONGEST_PATH_BYTES:
            raise InvalidArtifact(
                f"this path is too long: at most {_LONGEST_PATH_BYTES} bytes", file=name[:80] + "…"
            )
        seen.add(path.as_posix())
    _check_folders(entries)
    return entries


def _check_folders(entries: list[zipfile.ZipInfo]) -> None:
    files = {PurePosixPath(entry.filename) for entry in entries if not entry.is_dir()}
    for path in files:
        if folder := next((parent for parent in path.parents if parent in files), None):
            raise InvalidArtifact("this is a file and a folder at once", file=str(folder))


def _leaves_folder(path: PurePosixPath, original: str) -> bool:
    # A backslash or a drive letter is a path of its own to Windows, and to nobody else.
    odd = not path.parts or "\\" in original or ":" in path.parts[0]
    return odd or path.is_absolute() or ".." in path.parts


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if entry.file_size > MAX_FILE_BYTES:
            raise InvalidArtifact(
                f"{entry.file_size:,} bytes; at most {MAX_FILE_BYTES:,} a file", file=entry.filename
            )
        if entry.file_size > _RATIO_MATTERS_FROM and entry.file_size > MAX_RATIO * max(
            entry.compress_size, 1
        ):
            raise InvalidArtifact(
                f"compressed more than {MAX_RATIO} to 1, as a zip bomb is", file=entry.filename
            )
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise InvalidArtifact(f"{total:,} bytes in all; at most {MAX_TOTAL_BYTES:,}")


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: str) -> None:
    # zipfile stops reading at the size the entry declares and then checks the CRC, so an entry
    # that lies about its size cannot grow past what was checked.
    with opened.open(entry) as source, open(target, "xb") as file:  # noqa: PTH123
        while chunk := source.read(_CHUNK):
            file.write(chunk)
