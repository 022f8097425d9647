"""Extracting a zip that a stranger may have made."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from turnback.errors import InvalidArtifact

MAX_ENTRIES = 20_000
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_RATIO = 200
# Under this size a high ratio is harmless, and ordinary for repetitive SQL.
_RATIO_MATTERS_FROM = 64 * 1024
_CHUNK = 1024 * 1024
_LONGEST_NAME_BYTES = 255


def extract(archive: Path, into: Path, *, below: str | None = None, besides: str = "") -> None:
    """Extract a zip, after every entry was found safe; nothing is written before that.

    Args:
        archive: the zip.
        into: the folder to extract into.
        below: only what lies below this folder of the zip; the rest of a repository, its links
            among it, is neither extracted nor judged.
        besides: one file that is extracted all the same, if it is there.

    Raises:
        InvalidArtifact: no zip, damaged, or an entry is unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(
                [
                    entry
                    for entry in opened.infolist()
                    if entry.filename == besides or _wanted(entry.filename, below)
                ]
            )
            _check_sizes(entries)
            for entry in entries:
                if not entry.is_dir():
                    _write(opened, entry, into / entry.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise InvalidArtifact(
            f"the artifact is not a sound zip file: {exc}",
            hint="upload it again; make artifacts with: turnback package --release 1.4.0",
        ) from exc
    except (NotImplementedError, RuntimeError) as exc:
        raise InvalidArtifact(f"the zip uses a feature that is not supported: {exc}") from exc


def _wanted(name: str, below: str | None) -> bool:
    return below is None or name.startswith(below.rstrip("/") + "/")


def _checked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    if len(entries) > MAX_ENTRIES:
        raise InvalidArtifact(f"{len(entries)} entries; at most {MAX_ENTRIES} are read")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        path = PurePosixPath(name)
        if _leaves(path, entry.orig_filename):
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
        seen.add(path.as_posix())
    _check_folders(entries)
    return entries


def _check_folders(entries: list[zipfile.ZipInfo]) -> None:
    files = {PurePosixPath(entry.filename) for entry in entries if not entry.is_dir()}
    for path in files:
        if folder := next((parent for parent in path.parents if parent in files), None):
            raise InvalidArtifact("this is a file and a folder at once", file=str(folder))


def _leaves(path: PurePosixPath, original: str) -> bool:
    # A backslash or a drive letter is a path of its own to Windows, and to nobody else.
    strange = not path.parts or "\\" in original or ":" in path.parts[0]
    return strange or path.is_absolute() or ".." in path.parts


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


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile stops reading at the size the entry declares and then checks the CRC, so an entry
    # that lies about its size cannot grow past what was checked.
    with opened.open(entry) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
