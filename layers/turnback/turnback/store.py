"""What turnback keeps outside the database: objects in a bucket, or files in a folder.

These protocols say what the rest of the package may ask for. aws.s3.Bucket has all of it; a
folder, which serves the dumps of a machine without AWS, has the methods of Store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Writer(Protocol):
    """An object being written."""

    @property
    def encryption(self) -> str | None:
        """How the store encrypts the object, known once it is written; None if it does not."""

    def send(self, data: bytes) -> None:
        """Add bytes at the end."""


class Store(Protocol):
    """A bucket or a folder."""

    @property
    def prefix(self) -> str:
        """The address without the key: ``s3://bucket/``, or a folder's path."""

    def read(self, key: str) -> bytes | None:
        """A small object's bytes, or None if there is no such object."""

    def write(self, key: str, body: bytes) -> None:
        """Store a small object, replacing one of the same key."""

    def stream(self, key: str) -> Iterator[bytes]:
        """A large object in chunks."""

    def upload(self, key: str, tags: Mapping[str, str]) -> AbstractContextManager[Writer]:
        """A large object to be written; it exists only if the block ends without an error."""

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys with this prefix, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; no error if it does not exist."""


class ObjectStore(Store, Protocol):
    """A bucket: it has versions, and it compares and writes in one step."""

    @property
    def name(self) -> str:
        """The bucket's name."""

    def write_file(self, key: str, file: Path) -> str | None:
        """Store a file, and return the object's version; None in a bucket without versions."""

    def download(self, key: str, version_id: str | None, into: Path) -> None:
        """Write one version of an object to a file.

        Raises:
            AwsError: the object or the version does not exist, or may not be read.
        """

    def create(self, key: str, body: bytes) -> bool:
        """Store an object unless the key exists; return whether it was stored."""

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes and the tag that swap() asks for, or None."""

    def swap(self, key: str, body: bytes, tag: str | None) -> bool:
        """Store an object unless it was changed since it was read; return whether it was stored.

        Args:
            tag: of the object that was read; None if there was none.
        """
