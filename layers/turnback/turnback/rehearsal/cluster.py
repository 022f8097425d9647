"""The data directory of a stopped server as one file, and back: an archive of tar and gzip.

Not on Windows, which has no server of ours.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# What each start of a server makes anew: the extensions, the number of its process, its socket;
# and the password for TCP, which a shadow server does not use.
_LEFT_OUT = ("turnback_", "turnback.password", "postmaster.", ".s.PGSQL.")


class UnusableArchive(Exception):
    """This is no data directory, or one that cannot be kept as a file; the message says why."""


def pack(data: Path, limit: int) -> bytes:
    """A data directory of a server that was stopped in order.

    Args:
        data: the directory.
        limit: how many bytes its files may have.

    Raises:
        UnusableArchive: they have more, or something is no file, such as a tablespace.
        OSError: it cannot be read.
    """
    packed = io.BytesIO()
    size = 0
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for path, found in _entries(data):
            member = tarfile.TarInfo(path.relative_to(data).as_posix())
            if stat.S_ISDIR(found.st_mode):
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
                continue
            if not stat.S_ISREG(found.st_mode):
                raise UnusableArchive(f"{member.name} is no file")
            size += found.st_size
            if size > limit:
                raise UnusableArchive(f"it has more than {limit >> 20} MB")
            member.size = found.st_size
            with path.open("rb") as file:
                archive.addfile(member, file)
    return packed.getvalue()


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is in a data directory, each folder before what is in it."""
    with os.scandir(folder) as found:
        entries = [one for one in found if not one.name.startswith(_LEFT_OUT)]
    for entry in entries:
        path = Path(entry.path)
        yield path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(path)


def unpack(packed: bytes, data: Path, owner: tuple[int, int] | None) -> None:
    """Make a data directory of what ``pack`` returned.

    Args:
        packed: the archive.
        data: the directory, which does not exist; nor does it after an error.
        owner: user and group that it is given to; None is ourselves.

    Raises:
        UnusableArchive: it is no such archive.
        OSError: it cannot be written.
    """
    data.mkdir(mode=0o700, parents=True)
    try:
        if owner:
            os.chown(data, *owner)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            for member in archive:
                _extract(archive, member, data, owner)
    except BaseException as error:
        shutil.rmtree(data)
        if isinstance(error, (tarfile.TarError, zlib.error, EOFError)):
            raise UnusableArchive(str(error)) from error
        raise


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, data: Path, owner: tuple[int, int] | None
) -> None:
    """Write one file or folder; tarfile's own way takes several times as long for small files."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UnusableArchive(f"{name} is outside of it")
    path = data / name
    if member.isdir():
        path.mkdir(mode=0o700)
        if owner:
            os.chown(path, *owner)
        return
    source = archive.extractfile(member) if member.isreg() else None
    if source is None:
        raise UnusableArchive(f"{name} is no file")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(source.read())
        if owner:
            os.fchown(file.fileno(), *owner)
