"""A zip from an untrusted source: its directory is checked before anything in it is read."""

from __future__ import annotations

import errno
import os
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from turnback.errors import InvalidArtifact, TurnbackError
from turnback.wording import one_line

ZipEntry = zipfile.ZipInfo
# Ten thousand migrations with their rollback and verify scripts.
MAX_ENTRIES = 40_000
# Of a whole repository, of which one folder is read.
MAX_ENTRIES_IN_ALL = 100_000
# An entry of the zip's directory has 46 bytes, its name and its extra fields.
_DIRECTORY_BYTES_AN_ENTRY = 300
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_RATIO = 200
# Under this size a high ratio is harmless, and ordinary for repetitive SQL.
_RATIO_MATTERS_FROM = 64 * 1024
_CHUNK = 1024 * 1024
_LONGEST_NAME_BYTES = 255
# Below the 4096 of Linux by more than any folder that it could be unpacked into.
_LONGEST_PATH_BYTES = 1024
# The records that end a zip (APPNOTE.TXT, 4.3.14 to 4.3.16): entries and bytes of its directory.
_END = struct.Struct("<4s6xHL6x")
_END_64_LOCATOR_BYTES = 20
_END_64 = struct.Struct("<4s28xQQ8x")
_END_64_BEFORE = _END_64.size + _END_64_LOCATOR_BYTES
_LONGEST_COMMENT = 0xFFFF
# Of the header before a file's data: where the lengths of the name and of the extra field are that
# end it (4.3.7); and of LZMA's own, the size of the dictionary (5.8.8).
_NAME_LENGTHS = 26
_LZMA = struct.Struct("<5xI")
_MAKE = "make artifacts with: turnback package --release 1.4.0"


class Zip:
    """A zip whose entries were checked; its files are read without being unpacked.

    Attributes:
        files: the entries of its files by their paths, with forward slashes. What macOS puts
            beside files is left out.
    """

    files: Mapping[str, ZipEntry]

    def __init__(
        self, archive: Path, *, below: str | None = None, besides: Collection[str] = ()
    ) -> None:
        """Open a zip. It is kept open, so that it can be read until it is let go.

        Args:
            archive: the zip.
            below: only what is below this folder of the zip; the rest of a repository, its links
                among it, is neither read nor judged.
            besides: files that are read all the same, if they are there.

        Raises:
            InvalidArtifact: it is not a zip, is damaged, or has an unsafe entry.
        """
        self._archive = archive
        inside = None if below is None else below.rstrip("/") + "/"
        with _sound():
            with archive.open("rb") as file:
                _check_directory(file, MAX_ENTRIES if below is None else MAX_ENTRIES_IN_ALL)
            self._zip = zipfile.ZipFile(archive)
            named = [(_name_of(entry), entry) for entry in self._zip.infolist()]
        wanted = [
            (name, entry)
            for name, entry in named
            if not _is_of_macos(name)
            and (inside is None or name in besides or name.startswith(inside))
        ]
        check_entries(wanted)
        self.files = {
            PurePosixPath(name).as_posix(): entry
            for name, entry in wanted
            if not name.endswith("/")
        }

    def close(self) -> None:
        """Let go of the zip: the disk keeps the space of a removed file as long as it is open."""
        self._zip.close()

    def chunks(self, entry: ZipEntry) -> Iterator[bytes]:
        """The bytes of a file in chunks of a megabyte.

        Raises:
            InvalidArtifact: its data is damaged.
        """
        # zipfile stops reading at the size the entry declares and then checks the CRC, so an entry
        # that lies about its size cannot grow past what was checked.
        name = _name_of(entry)
        with _sound(name):
            if entry.compress_type == zipfile.ZIP_LZMA:
                self._check_dictionary(entry, name)
        with _sound(name), self._zip.open(entry) as source:
            while chunk := source.read(_CHUNK):
                yield chunk

    def _check_dictionary(self, entry: ZipEntry, name: str) -> None:
        """Refuse an LZMA dictionary larger than any file: it takes its memory before it reads."""
        with self._archive.open("rb") as file:
            file.seek(entry.header_offset + _NAME_LENGTHS)
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            (size,) = _LZMA.unpack(file.read(_LZMA.size))
        if size > MAX_FILE_BYTES:
            raise InvalidArtifact(
                f"its LZMA dictionary takes {size:,} bytes; at most {MAX_FILE_BYTES:,}", file=name
            )


def names_in(archive: Path) -> set[str]:
    """The names of everything in a zip, as they are judged by nobody yet.

    Raises:
        InvalidArtifact: it is not a zip.
    """
    with _sound(), zipfile.ZipFile(archive) as opened:
        names = {_name_of(entry) for entry in opened.infolist()}
    return {name for name in names if not _is_of_macos(name)}


def check_entries(entries: Iterable[tuple[str, ZipEntry]]) -> None:
    """Refuse what is unsafe, or larger than what is read.

    Args:
        entries: each with its name, which has forward slashes.

    Raises:
        InvalidArtifact: for the first one.
    """
    entries = list(entries)
    if len(entries) > MAX_ENTRIES:
        raise InvalidArtifact(f"{len(entries)} entries; at most {MAX_ENTRIES} are read")
    seen: dict[str, str] = {}
    for name, entry in entries:
        path = _check_name(name, entry)
        # macOS and others write one name in two forms.
        form = unicodedata.normalize("NFC", path)
        if form in seen:
            twice = "this entry is there twice"
            forms = "" if seen[form] == path else ", its name in two forms of Unicode (NFC, NFD)"
            raise InvalidArtifact(twice + forms, file=name)
        seen[form] = path
    _check_folders(entries)
    _check_sizes(entries)


def _name_of(entry: ZipEntry) -> str:
    """The name, with the slashes of the format where a program on Windows wrote its own."""
    return entry.filename.replace("\\", "/")


def _is_of_macos(name: str) -> bool:
    """Whether the Finder wrote it: copies of a file's attributes, and of a folder's view."""
    first, last = name.partition("/")[0], name.rstrip("/").rpartition("/")[2]
    return first == "__MACOSX" or last.startswith("._") or last == ".DS_Store"


def _check_name(name: str, entry: ZipEntry) -> str:
    path = PurePosixPath(name)
    # A drive letter is a path of its own to Windows, and to nobody else.
    if not path.parts or ":" in path.parts[0] or path.is_absolute() or ".." in path.parts:
        raise InvalidArtifact("this path leaves the folder", file=name)
    # What is behind a NUL byte is cut off.
    shown = one_line(entry.orig_filename)
    if shown != entry.orig_filename:
        raise InvalidArtifact(
            f"this name has a character that nobody sees: {shown}",
            file=name,
            hint="rename the file, and package it again",
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidArtifact("links and special files are refused", file=name)
    if entry.flag_bits & 0x1:
        raise InvalidArtifact("encrypted entries are refused", file=name)
    if max(len(part.encode()) for part in path.parts) > _LONGEST_NAME_BYTES:
        raise InvalidArtifact("this name is too long for a file", file=name)
    if len(name.encode()) > _LONGEST_PATH_BYTES:
        raise InvalidArtifact(
            f"this path is too long: at most {_LONGEST_PATH_BYTES} bytes", file=name[:80] + "…"
        )
    return path.as_posix()


def _check_folders(entries: list[tuple[str, ZipEntry]]) -> None:
    files = {PurePosixPath(name) for name, _ in entries if not name.endswith("/")}
    for path in files:
        if folder := next((parent for parent in path.parents if parent in files), None):
            raise InvalidArtifact("this is a file and a folder at once", file=str(folder))


def _check_sizes(entries: list[tuple[str, ZipEntry]]) -> None:
    for name, entry in entries:
        if entry.file_size > MAX_FILE_BYTES:
            raise InvalidArtifact(
                f"{entry.file_size:,} bytes; at most {MAX_FILE_BYTES:,} a file", file=name
            )
        if entry.file_size > _RATIO_MATTERS_FROM and entry.file_size > MAX_RATIO * max(
            entry.compress_size, 1
        ):
            raise InvalidArtifact(
                f"compressed more than {MAX_RATIO} to 1, as a zip bomb is", file=name
            )
    total = sum(entry.file_size for _, entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise InvalidArtifact(f"{total:,} bytes in all; at most {MAX_TOTAL_BYTES:,}")


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


@contextmanager
def _sound(file: str | None = None) -> Iterator[None]:
    """Say of a zip that cannot be read that it is damaged, whatever the decompressor raises."""
    try:
        yield
    except (TurnbackError, MemoryError):
        raise
    except UnicodeDecodeError as exc:
        raise InvalidArtifact(
            "the name of an entry is not UTF-8, though the zip says so", hint=_MAKE
        ) from exc
    except (NotImplementedError, RuntimeError) as exc:
        raise InvalidArtifact(f"the zip uses a feature that is not supported: {exc}") from exc
    except Exception as exc:
        # bzip2 reports damaged data as an OSError without a number, and a place that no file has is
        # an invalid argument; any other number is the machine's.
        if isinstance(exc, OSError) and exc.errno not in (None, errno.EINVAL):
            raise
        raise InvalidArtifact(
            f"the artifact is not a sound zip file: {exc}",
            file=file,
            hint=f"upload it again; {_MAKE}",
        ) from exc
