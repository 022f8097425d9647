"""Objects in S3: small ones whole, large ones as streams that never touch the disk."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of
from turnback.errors import AwsError, OutOfSpace

# S3 takes 10,000 parts: 16 MiB each allow a dump of 156 GiB with two parts in memory at most.
PART_BYTES = 16 * 1024 * 1024
_ABSENT = {"NoSuchKey", "NoSuchVersion", "404"}
_CHUNK = 1024 * 1024
_OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class Bucket:
    """One bucket; store.ObjectStore describes its methods."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._s3 = client("s3")

    def read(self, key: str) -> bytes | None:
        """The object's bytes, or None if it does not exist."""
        with aws_errors(f"read s3://{self.name}/{key}"):
            try:
                return bytes(self._s3.get_object(Bucket=self.name, Key=key)["Body"].read())
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise

    @property
    def prefix(self) -> str:
        """The address without the key."""
        return f"s3://{self.name}/"

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys with this prefix, sorted by their bytes."""
        with aws_errors(f"list s3://{self.name}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                yield from (str(found["Key"]) for found in page.get("Contents", []))

    def delete(self, key: str) -> None:
        """Remove the object; no error if it does not exist."""
        with aws_errors(f"delete s3://{self.name}/{key}"):
            self._s3.delete_object(Bucket=self.name, Key=key)

    def write(self, key: str, body: bytes) -> None:
        """Store the object, replacing one of the same key."""
        with aws_errors(f"write s3://{self.name}/{key}"):
            self._s3.put_object(Bucket=self.name, Key=key, Body=body)

    def write_file(self, key: str, file: Path) -> str | None:
        """Store a file, and return the object's version; None in a bucket without versions."""
        with aws_errors(f"write s3://{self.name}/{key}"), file.open("rb") as body:
            answer = self._s3.put_object(Bucket=self.name, Key=key, Body=body)
        # What S3 calls the only version while versioning is suspended.
        version = answer.get("VersionId", "null")
        return None if version == "null" else str(version)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes and the tag that swap() asks for, or None."""
        with aws_errors(f"read s3://{self.name}/{key}"):
            try:
                answer = self._s3.get_object(Bucket=self.name, Key=key)
                return bytes(answer["Body"].read()), str(answer["ETag"])
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise

    def swap(self, key: str, body: bytes, tag: str | None) -> bool:
        """Store the object unless it was changed since it was read; return whether it was stored.

        S3 compares and writes in one step (its user guide, "conditional writes").

        Args:
            key: the object's key.
            body: its new bytes.
            tag: of the object that was read; None if there was none.
        """
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with aws_errors(f"write s3://{self.name}/{key}"):
            try:
                self._s3.put_object(Bucket=self.name, Key=key, Body=body, **condition)
            except ClientError as error:
                if code_of(error) in _OVERTAKEN | _ABSENT:
                    return False
                raise
        return True

    def create(self, key: str, body: bytes) -> bool:
        """Store the object unless the key exists; return whether it was stored."""
        return self.swap(key, body, None)

    def download(self, key: str, version_id: str | None, into: Path) -> None:
        """Write one version of the object to a file.

        Raises:
            AwsError: the object or the version does not exist, or may not be read.
            OutOfSpace: it is larger than what is free there.
        """
        body, size = self._open(key, version_id)
        OutOfSpace.refuse(str(into.parent), size, f"s3://{self.name}/{key}")
        with aws_errors(f"read s3://{self.name}/{key}"), into.open("wb") as file:
            for chunk in body.iter_chunks(_CHUNK):
                file.write(chunk)

    def stream(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The object in chunks of 1 MiB."""
        body, _ = self._open(key, version_id)
        with aws_errors(f"read s3://{self.name}/{key}"):
            yield from body.iter_chunks(_CHUNK)

    def _open(self, key: str, version_id: str | None) -> tuple[Any, int]:
        """The object's body, and how many bytes it has."""
        version = {"VersionId": version_id} if version_id else {}
        with aws_errors(f"read s3://{self.name}/{key}"):
            try:
                found = self._s3.get_object(Bucket=self.name, Key=key, **version)
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    raise AwsError(
                        f"s3://{self.name}/{key} does not exist"
                        + (f" in version {version_id}" if version_id else ""),
                        hint="upload the artifact again",
                    ) from error
                raise
        return found["Body"], int(found["ContentLength"])

    def upload(self, key: str, tags: Mapping[str, str]) -> Upload:
        """An object to be written in pieces; see Upload."""
        return Upload(self._s3, self.name, key, tags)


class Upload:
    """An object written in pieces; it exists only if the ``with`` block ends without an error."""

    def __init__(self, s3: Any, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        self._s3 = s3
        self._where = {"Bucket": bucket, "Key": key}
        self._name = f"s3://{bucket}/{key}"
        self._tags = tags
        self._buffer = bytearray()
        self._parts: list[dict[str, Any]] = []
        self.encryption: str | None = None

    def __enter__(self) -> Upload:
        with aws_errors(f"begin writing {self._name}"):
            begun = self._s3.create_multipart_upload(
                **self._where, Tagging=urlencode(self._tags), ChecksumAlgorithm="CRC32"
            )
        self._where["UploadId"] = begun["UploadId"]
        return self

    def send(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._buffer += data
        if len(self._buffer) >= PART_BYTES:
            self._flush()

    def _flush(self) -> None:
        number, body = len(self._parts) + 1, bytes(self._buffer)
        # An upload that names an algorithm is completed with the checksum of each part (S3 User
        # Guide, "Checking object integrity"). S3 compares it with what has arrived.
        checksum = b64encode(crc32(body).to_bytes(4)).decode()
        with aws_errors(f"write part {number} of {self._name}"):
            part = self._s3.upload_part(
                **self._where, PartNumber=number, Body=body, ChecksumCRC32=checksum
            )
        self._parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": checksum})
        self._buffer.clear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
            with aws_errors(f"finish writing {self._name}"):
                answer = self._s3.complete_multipart_upload(
                    **self._where, MultipartUpload={"Parts": self._parts}
                )
            self.encryption = answer.get("ServerSideEncryption")
        else:
            with aws_errors(f"abort writing {self._name}"):
                self._s3.abort_multipart_upload(**self._where)
