"""The artifact: what goes in comes out, and everything else is refused before it is read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from turnback.errors import (
    ChecksumMismatch,
    ConfigurationError,
    DuplicateVersion,
    InvalidArtifact,
    InvalidMigration,
    OutOfSpace,
    TurnbackError,
)
from turnback.migrations import large
from turnback.migrations import zips as limits
from turnback.migrations.artifact import (
    MAX_MANIFEST_BYTES,
    Artifact,
    open_artifact,
    pack,
)
from turnback.migrations.discovery import load_project
from turnback.sql.bulk import statements_of

from tests.conftest import ProjectFactory

FILES = {
    "sql/0001_users.sql": "CREATE TABLE users ();\n",
    "sql/0002_nodes.sql": "-- é 🐘\r\nCREATE TABLE nodes ();\r\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "rollback/0002_rollback.sql": "DROP TABLE nodes;\n",
    "verify/0002_verify.sql": "TABLE nodes;\n",
}
MANIFEST = json.dumps({"format": 1, "release": "1.4.0"})
NOON = datetime(2024, 1, 15, 12, tzinfo=UTC)
MEGABYTE = 1024 * 1024


def sums_of(files: Mapping[str, str]) -> str:
    lines = [
        f"{hashlib.sha256(data.encode()).hexdigest()}  {name}\n" for name, data in files.items()
    ]
    return "".join(sorted(lines, key=lambda line: line[66:]))


def entries(
    files: Mapping[str, str] = FILES,
    *,
    folder: str = "migrations/",
    sums: str | None = None,
    manifest: str | None = MANIFEST,
) -> dict[str, str]:
    """The entries of an artifact that is in order, unless changed."""
    found = {folder + name: data for name, data in files.items()}
    found[f"{folder}SHA256SUMS"] = sums_of(files) if sums is None else sums
    return found | ({"release.json": manifest} if manifest is not None else {})


Touch = Callable[[zipfile.ZipInfo], None]


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    """Writes a zip of these entries; ``touch`` changes what its directory says of the last one."""

    def write(content: Mapping[str, str | bytes], *, touch: Touch | None = None) -> Path:
        path = tmp_path / "artifact.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
            if touch:
                touch(archive.filelist[-1])
        return path

    return write


def refusal(
    archive: Path, kind: type[TurnbackError] = InvalidArtifact, **options: str
) -> TurnbackError:
    with pytest.raises(TurnbackError) as caught:
        open_artifact(archive, **options)
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value


def refused_unread(archive: Path) -> TurnbackError:
    """The refusal of a zip of which nothing was read but its directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", pytest.fail)
        return refusal(archive)


def test_what_was_packed_is_the_project_again(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    source = {"repository": "https://example.com/app.git", "commit": "0123abc"}
    packed = pack(folder, "1.4.0", tmp_path / "x.zip", source=source, created_at=NOON)

    opened = open_artifact(packed)

    project = load_project(folder)
    assert opened.project.migrations == project.migrations
    assert opened.project.sums == project.sums
    assert opened == Artifact(
        release="1.4.0",
        project=opened.project,
        files=opened.files,
        created_at="2024-01-15T12:00:00+00:00",
        source=source,
    )


SETTINGS = '[database]\nurl = "postgresql://u:secret@db/x"\n[ignore]\nschemas = ["cron"]\n'


def test_an_artifact_carries_turnback_toml_without_addresses(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    (folder.parent / "turnback.toml").write_text(SETTINGS)
    packed = pack(folder, "1.4.0", tmp_path / "x.zip", created_at=NOON)
    with zipfile.ZipFile(packed) as archive:
        data = archive.read("turnback.toml")
        manifest = json.loads(archive.read("release.json"))
    assert b"secret" not in data and data.count(b"\n") == SETTINGS.count("\n")
    assert manifest["settings_sha256"] == hashlib.sha256(data).hexdigest()
    found = open_artifact(packed).project.settings
    assert (found.ignore.schemas, found.lines["ignore.schemas"]) == (("cron",), 4)
    again = pack(open_artifact(packed).files, "1.4.0", tmp_path / "y.zip", created_at=NOON)
    assert again.read_bytes() == packed.read_bytes()


@pytest.mark.parametrize(
    ("named", "there", "message"),
    [
        ("[ignore]\n", '[ignore]\nschemas = ["*"]\n', "differs from release.json"),
        (None, "[ignore]\n", "release.json does not know this file"),
        ("[ignore]\n", None, "release.json names this file, but it is not there"),
    ],
)
def test_another_turnback_toml_than_the_one_that_was_packaged_is_refused(
    named: str | None, there: str | None, message: str, zipped: Callable[..., Path]
) -> None:
    manifest = json.loads(MANIFEST)
    if named is not None:
        manifest["settings_sha256"] = hashlib.sha256(named.encode()).hexdigest()
    content = entries(manifest=json.dumps(manifest))
    content |= {"turnback.toml": there} if there is not None else {}
    error = refusal(zipped(content), ChecksumMismatch)
    assert message in error.message and error.file == "turnback.toml"


def test_a_source_has_the_turnback_toml_beside_its_folder(zipped: Callable[..., Path]) -> None:
    content = entries(folder="app/db/") | {"app/turnback.toml": SETTINGS, "turnback.toml": "x"}
    opened = open_artifact(zipped(content), release="1.4.0", folder="app/db")
    assert opened.project.settings.ignore.schemas == ("cron",)
    alone = zipped(entries(folder="", manifest=None) | {"turnback.toml": SETTINGS})
    assert refusal(alone, ChecksumMismatch, release="1.4.0").file == "turnback.toml"


def test_packing_twice_gives_the_same_bytes(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    first = pack(folder, "1.4.0", tmp_path / "first.zip", created_at=NOON).read_bytes()
    for path in folder.rglob("*.sql"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes())
    second = pack(folder, "1.4.0", tmp_path / "second.zip", created_at=NOON).read_bytes()
    assert first == second


def test_the_artifact_holds_the_scripts_their_sums_and_the_manifest_and_nothing_else(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    (folder / "README.md").write_text("not for the server")
    (folder / "sql/.gitkeep").touch()
    with zipfile.ZipFile(pack(folder, "1.4.0", tmp_path / "x.zip")) as archive:
        names = archive.namelist()
        modes = {info.external_attr >> 16 for info in archive.infolist()}
        manifest = json.loads(archive.read("release.json"))
    assert sorted(names) == sorted(entries())
    assert modes == {0o100644}
    assert (manifest["format"], manifest["release"]) == (1, "1.4.0")
    assert set(manifest) == {"format", "release", "created_at", "source"}


def test_files_that_differ_from_their_sums_are_not_packed(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    (folder / "sql/0001_users.sql").write_text("CREATE TABLE other ();\n")
    with pytest.raises(ChecksumMismatch, match=r"sql/0001_users\.sql: differs from SHA256SUMS"):
        pack(folder, "1.4.0", tmp_path / "x.zip")
    with pytest.raises(ChecksumMismatch, match="there is no SHA256SUMS"):
        pack(project_factory(FILES, sums=False), "1.4.0", tmp_path / "x.zip")
    assert not list(tmp_path.glob("*.zip*"))


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_ENTRIES", 6, "7 entries; at most 6"),
        ("MAX_FILE_BYTES", 20, "bytes; at most 20 a file"),
        ("MAX_TOTAL_BYTES", 100, "bytes in all; at most 100"),
    ],
)
def test_what_would_be_refused_when_it_is_released_is_not_packed(
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    message: str,
) -> None:
    monkeypatch.setattr(limits, limit, value)
    folder = project_factory(FILES)
    with pytest.raises(InvalidArtifact, match=message):
        pack(folder, "1.4.0", tmp_path / "artifact.zip")
    assert [path.name for path in tmp_path.glob("*artifact.zip*")] == []


def test_a_release_that_is_no_semantic_version_is_not_packed(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="is not a release number"):
        pack(project_factory(FILES), "v1.4", tmp_path / "x.zip")


def test_a_zip_that_cannot_be_written_leaves_nothing_behind(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    (tmp_path / "x.zip").mkdir()
    with pytest.raises(OSError, match=r"x\.zip"):
        pack(project_factory(FILES), "1.4.0", tmp_path / "x.zip")
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("folder", ["migrations/", "db/", ""])
def test_the_migrations_are_found_at_the_root_or_under_one_folder(
    folder: str, zipped: Callable[..., Path]
) -> None:
    opened = open_artifact(zipped(entries(folder=folder)))
    assert [m.name for m in opened.project.migrations] == ["users", "nodes"]


def test_the_manifest_may_lie_beside_the_migrations(zipped: Callable[..., Path]) -> None:
    content = entries(manifest=None) | {"migrations/release.json": MANIFEST}
    assert open_artifact(zipped(content)).release == "1.4.0"


def test_a_source_artifact_is_read_when_release_and_folder_are_named(
    zipped: Callable[..., Path],
) -> None:
    content = entries(folder="app/db/", manifest=None) | {
        "README.md": "hello",
        "app/main.py": "print()",
        "app/db/README.md": "hello",
        "other/sql/0001_x.sql": "SELECT 1;",
    }
    opened = open_artifact(zipped(content), release="1.5.0", folder="app/db")
    assert opened.release == "1.5.0"
    assert [m.name for m in opened.project.migrations] == ["users", "nodes"]


def test_rollback_to_is_read(zipped: Callable[..., Path]) -> None:
    manifest = json.dumps({"format": 1, "release": "1.3.0", "rollback_to": "1.3.0"})
    assert open_artifact(zipped(entries(manifest=manifest))).rollback_to == "1.3.0"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"-- SQL\nSELECT 1;\n", b"\x00" * 1000])
def test_a_zip_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    error = refused_unread(tmp_path / "x.zip")
    assert "not a sound zip" in error.message
    assert "turnback package" in (error.hint or "")


def test_a_zip_that_was_cut_off_is_refused(zipped: Callable[..., Path]) -> None:
    path = zipped(entries())
    path.write_bytes(path.read_bytes()[:-30])
    assert "not a sound zip" in refused_unread(path).message


def test_a_zip_with_a_damaged_byte_is_refused(zipped: Callable[..., Path]) -> None:
    path = zipped(entries())
    data = bytearray(path.read_bytes())
    # In the compressed data of the first entry, after its header of 30 bytes and its name.
    data[30 + len("migrations/sql/0001_users.sql") + 5] ^= 0xFF
    path.write_bytes(data)
    assert "not a sound zip" in refusal(path).message


@pytest.mark.parametrize(
    "name",
    [
        "../outside.sql",
        "migrations/../../outside.sql",
        "migrations/sql/../../../outside.sql",
        "/outside.sql",
        "//server/outside.sql",
        "..",
        "C:/outside.sql",
        "C:outside.sql",
        "..\\outside.sql",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(name: str, zipped: Callable[..., Path]) -> None:
    error = refused_unread(zipped(entries() | {name: "SELECT 1;"}))
    assert error.message == "this path leaves the folder"
    assert error.file == name.replace("\\", "/")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]
)
def test_links_and_special_files_are_refused(kind: int, zipped: Callable[..., Path]) -> None:
    def touch(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o777) << 16

    name = "migrations/sql/0003_link.sql"
    error = refused_unread(zipped(entries() | {name: "/etc/passwd"}, touch=touch))
    assert error.message == "links and special files are refused"
    assert error.file == name


def test_an_encrypted_entry_is_refused(zipped: Callable[..., Path]) -> None:
    def touch(info: zipfile.ZipInfo) -> None:
        info.flag_bits |= 0x1

    error = refused_unread(zipped(entries(), touch=touch))
    assert error.message == "encrypted entries are refused"
    assert error.file == "release.json"


@pytest.mark.parametrize("again", ["release.json", "./release.json", "migrations//SHA256SUMS"])
def test_an_entry_that_is_there_twice_is_refused(again: str, zipped: Callable[..., Path]) -> None:
    path = zipped(entries())
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(again, "{}")
    error = refused_unread(path)
    assert error.message == "this entry is there twice"
    assert error.file == again


def test_a_name_that_is_a_file_and_a_folder_is_refused(zipped: Callable[..., Path]) -> None:
    path = zipped({"migrations": "a file"} | entries())
    assert refusal(path).message == "this is a file and a folder at once"


def test_a_name_that_no_file_can_have_is_refused(zipped: Callable[..., Path]) -> None:
    path = zipped(entries() | {f"migrations/sql/0003_{'x' * 300}.sql": ""})
    assert refusal(path).message == "this name is too long for a file"


def test_a_path_that_is_too_long_is_refused(zipped: Callable[..., Path]) -> None:
    deep = "/".join(["x" * 200] * 30)
    error = refused_unread(zipped(entries() | {f"migrations/{deep}/0003_a.sql": ""}))
    assert error.message == "this path is too long: at most 1024 bytes"


def test_a_name_with_a_lone_surrogate_is_refused(zipped: Callable[..., Path]) -> None:
    path = zipped(entries() | {"migrations/sql/0003_€.sql": ""})
    path.write_bytes(path.read_bytes().replace("€".encode(), b"\xed\xa0\x80"))
    assert "is not UTF-8" in refused_unread(path).message


def end_record(entries: int, length: int, comment: bytes = b"") -> bytes:
    """The end of a zip whose directory is said to have so many entries and bytes."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, entries, length, 0, len(comment)) + comment


def end_record_64(entries: int, length: int) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 0, entries, length, 0)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + end_record(0xFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("end", "options", "message"),
    [
        (end_record(40_001, 0), {}, "40001 entries; at most 40000 are read"),
        (end_record(40_001, 0, b"a comment"), {}, "40001 entries; at most 40000 are read"),
        (end_record_64(1_000_000, 0), {}, "1000000 entries; at most 40000 are read"),
        (end_record(1, 47_000_000), {}, "directory has 47,000,000 bytes; at most 12,000,000"),
        (end_record_64(1, 47_000_000), {}, "directory has 47,000,000 bytes; at most 12,000,000"),
        (
            end_record_64(1_000_000, 0),
            {"folder": "db", "release": "1.4.0"},
            "1000000 entries; at most 100000 are read",
        ),
    ],
    ids=["entries", "comment", "zip64", "bytes", "bytes in zip64", "one folder of many"],
)
def test_a_directory_of_too_many_entries_is_refused_before_it_is_read(
    end: bytes,
    options: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zipfile, "ZipFile", pytest.fail)
    path = tmp_path / "artifact.zip"
    path.write_bytes(b"\0" * 70_000 + end)
    assert message in refusal(path, **options).message


def test_a_zip_with_a_comment_is_read(zipped: Callable[..., Path]) -> None:
    path = zipped(entries())
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"of the build " * 500
    assert len(open_artifact(path).project.migrations) == 2


def test_more_than_40_000_entries_are_refused(zipped: Callable[..., Path]) -> None:
    content = {f"migrations/sql/{number:05}_x.sql": "" for number in range(40_001)}
    assert "40001 entries; at most 40000" in refused_unread(zipped(content)).message


def test_a_file_of_more_than_64_megabytes_is_refused(zipped: Callable[..., Path]) -> None:
    def touch(info: zipfile.ZipInfo) -> None:
        info.file_size = info.compress_size = 64 * MEGABYTE + 1

    error = refused_unread(zipped(entries(), touch=touch))
    assert error.message == "67,108,865 bytes; at most 67,108,864 a file"
    assert error.file == "release.json"


def test_more_than_512_megabytes_in_all_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "artifact.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(9):
            archive.writestr(f"migrations/sql/{number:04}_x.sql", "")
            info = archive.filelist[-1]
            info.file_size = info.compress_size = 60 * MEGABYTE
    error = refused_unread(path)
    assert error.message == "566,231,040 bytes in all; at most 536,870,912"


def test_a_file_compressed_more_than_200_to_1_is_refused(zipped: Callable[..., Path]) -> None:
    name = "migrations/sql/0003_bomb.sql"
    error = refused_unread(zipped(entries() | {name: "-" * MEGABYTE}))
    assert "more than 200 to 1" in error.message
    assert error.file == name


def test_a_small_file_may_be_as_repetitive_as_it_likes(zipped: Callable[..., Path]) -> None:
    files = FILES | {"sql/0003_small.sql": "-" * 60_000}
    assert len(open_artifact(zipped(entries(files))).project.migrations) == 3


def test_an_entry_that_lies_about_its_size_never_grows_past_it(zipped: Callable[..., Path]) -> None:
    def touch(info: zipfile.ZipInfo) -> None:
        info.file_size = 10

    name = "migrations/sql/0003_liar.sql"
    path = zipped(entries() | {name: "-" * MEGABYTE}, touch=touch)
    assert "not a sound zip" in refusal(path).message


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (limits.MAX_ENTRIES, limits.MAX_RATIO) == (40_000, 200)
    assert (limits.MAX_ENTRIES_IN_ALL, MAX_MANIFEST_BYTES) == (100_000, MEGABYTE)
    assert (limits.MAX_FILE_BYTES, limits.MAX_TOTAL_BYTES) == (64 * MEGABYTE, 512 * MEGABYTE)


@pytest.mark.parametrize("names", [{"README.md"}, {"a/sql/0001_x.sql", "b/sql/0001_x.sql"}])
def test_no_folder_of_migrations_or_several_are_refused(
    names: set[str], zipped: Callable[..., Path]
) -> None:
    error = refusal(zipped({"release.json": MANIFEST} | dict.fromkeys(names, "SELECT 1;")))
    assert "folder" in error.message
    assert "turnback package" in (error.hint or "")


def test_an_artifact_without_a_manifest_is_refused(zipped: Callable[..., Path]) -> None:
    error = refusal(zipped(entries(manifest=None)))
    assert error.message == "there is no release.json in the artifact"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", "release.json is not JSON"),
        ("release: 1.4.0", "release.json is not JSON"),
        ("[" * 50_000, "release.json is not JSON"),
        ("[]", "names no release"),
        ('"1.4.0"', "names no release"),
        ('{"format": 1}', "names no release"),
        ('{"format": 1, "release": 1.4}', "names no release"),
        ('{"format": 2, "release": "1.4.0"}', "has format 2; this turnback reads 1"),
        ('{"release": "1.4.0"}', "has format None"),
        ('{"format": "1", "release": "1.4.0"}', "has format '1'"),
        ('{"format": 1, "release": "1.4"}', "'release' is no release number"),
        ('{"format": 1, "release": "latest"}', "'release' is no release number"),
        ('{"format": 1, "release": "1.4.0", "rollback_to": "x"}', "'rollback_to' is no release"),
        ('{"format": 1, "release": "1.4.0", "rollback_to": 1}', "'rollback_to' is no release"),
        ('{"format": true, "release": "1.4.0"}', "has format True; this turnback reads 1"),
        ('{"format": 1, "release": "1.4.0", "rollback_to": [1]}', "'rollback_to' is no release"),
        ('{"format": 1, "release": "1.4.0", "created_at": 5}', "'created_at' is no text"),
        ('{"format": 1, "release": "1.4.0", "source": []}', "'source' is no object"),
        ('{"format": 1, "release": "1.4.0", "source": "git"}', "'source' is no object"),
        ('{"format": 1, "release": "1.4.0", "source": {"commit": 7}}', "'source' is no object"),
        ('{"format": 1, "release": "\\ud800"}', r"a lone surrogate, \ud800, which"),
        (
            '{"format": 1, "release": "1.4.0", "source": {"commit": "a\\udfffb"}}',
            r"a lone surrogate, \udfff, which",
        ),
    ],
)
def test_a_manifest_that_is_not_in_order_is_refused(
    manifest: str, message: str, zipped: Callable[..., Path]
) -> None:
    error = refusal(zipped(entries(manifest=manifest)))
    assert message in error.message
    assert error.file == "release.json"


def test_a_manifest_of_more_than_a_megabyte_is_refused_unread(
    zipped: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", pytest.fail)
    filler = "".join(chr(97 + number * number % 23) for number in range(2 * MEGABYTE))
    monkeypatch.setattr(limits, "MAX_RATIO", 10_000)
    text = json.dumps({"format": 1, "release": "1.4.0", "created_at": filler})
    error = refusal(zipped(entries(manifest=text)))
    assert "release.json has at most 1,048,576" in error.message


def test_another_release_than_expected_is_refused(zipped: Callable[..., Path]) -> None:
    error = refusal(zipped(entries()), release="1.5.0")
    assert error.message == "the artifact is release 1.4.0, expected 1.5.0"


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in entries().items() if key != f"migrations/{name}"}


# What is found when the files are read, after the zip itself was found safe.
OUT_OF_ORDER = {
    "a checksum that differs": (
        entries() | {"migrations/sql/0001_users.sql": "CREATE TABLE other ();\n"},
        ChecksumMismatch,
        "sql/0001_users.sql",
    ),
    "a rollback whose checksum differs": (
        entries() | {"migrations/rollback/0001_rollback.sql": ""},
        ChecksumMismatch,
        "rollback/0001_rollback.sql",
    ),
    "a script that the sums do not know": (
        entries() | {"migrations/sql/0003_x.sql": "SELECT 1;"},
        ChecksumMismatch,
        "sql/0003_x.sql",
    ),
    "another file that the sums do not know": (
        entries() | {"migrations/sql/notes.txt": "hello"},
        ChecksumMismatch,
        "sql/notes.txt",
    ),
    "a hidden file that the sums do not know": (
        entries() | {"migrations/sql/.env": "hello"},
        ChecksumMismatch,
        "sql/.env",
    ),
    "a file that is absent": (
        without("verify/0002_verify.sql"),
        ChecksumMismatch,
        "verify/0002_verify.sql",
    ),
    "no sums at all": (without("SHA256SUMS"), ChecksumMismatch, "SHA256SUMS"),
    "sums that cannot be read": (entries(sums="nonsense\n"), InvalidMigration, "SHA256SUMS"),
    "a file that is not UTF-8": (
        entries() | {"migrations/sql/0001_users.sql": b"\xff"},
        InvalidMigration,
        "sql/0001_users.sql",
    ),
    "two files with one version": (
        entries() | {"migrations/sql/1_users.sql": ""},
        DuplicateVersion,
        "sql/1_users.sql",
    ),
}


@pytest.mark.parametrize("case", OUT_OF_ORDER)
def test_files_that_are_not_what_the_sums_say_are_refused(
    case: str, zipped: Callable[..., Path]
) -> None:
    content, kind, file = OUT_OF_ORDER[case]
    assert refusal(zipped(content), kind).file == file


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def written(path: Path, content: Mapping[str, str | bytes], method: int) -> Path:
    """A zip of entries whose names are kept as they are given."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, data, method)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_zip_is_refused_whatever_it_is_compressed_with(
    method: int, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.zip", entries(), method)
    whole = path.read_bytes()
    sound = open_artifact(path).project.migrations
    kinds = set()
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        path.write_bytes(damaged)
        try:
            found = open_artifact(path).project.migrations
        except TurnbackError as error:
            kinds.add(type(error))
        else:
            # A time, or another field that says nothing about the files.
            assert found == sound
    assert InvalidArtifact in kinds


def test_a_dictionary_of_lzma_that_takes_more_memory_than_a_file_is_refused(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "x.zip", entries(), zipfile.ZIP_LZMA)
    data = bytearray(path.read_bytes())
    at = data.find(b"0001_users.sql") + len("0001_users.sql")
    # After the version, the length and the first property: four gigabytes less one.
    data[at + 5 : at + 9] = bytes([0xFF] * 4)
    path.write_bytes(data)
    error = refusal(path)
    assert error.message == "its LZMA dictionary takes 4,294,967,295 bytes; at most 67,108,864"
    assert error.file == "migrations/sql/0001_users.sql"


def test_the_refusal_of_damaged_data_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "x.zip", entries(), zipfile.ZIP_BZIP2)
    data = bytearray(path.read_bytes())
    at = data.find(b"0001_users.sql") + len("0001_users.sql")
    data[at + 4 : at + 14] = bytes(10)
    path.write_bytes(data)
    error = refusal(path)
    assert (error.file, "not a sound zip" in error.message) == (
        "migrations/sql/0001_users.sql",
        True,
    )


def test_a_zip_from_windows_is_read(tmp_path: Path) -> None:
    # As Compress-Archive of PowerShell 5.1 writes them.
    content = {name.replace("/", "\\"): data for name, data in entries().items()}
    opened = open_artifact(written(tmp_path / "x.zip", content, zipfile.ZIP_DEFLATED))
    assert [m.name for m in opened.project.migrations] == ["users", "nodes"]


def test_what_macos_puts_beside_files_is_left_out(zipped: Callable[..., Path]) -> None:
    beside = {
        "__MACOSX/migrations/sql/._0001_users.sql": b"\0\5\x16\7",
        "__MACOSX/sql/._x": b"",
        "migrations/.DS_Store": b"\0",
        "migrations/sql/._0002_nodes.sql": b"\0\5\x16\7",
    }
    for folder in ("migrations/", ""):
        opened = open_artifact(zipped(entries(folder=folder) | beside))
        assert [m.name for m in opened.project.migrations] == ["users", "nodes"]


def test_the_migrations_are_found_in_a_repository_that_was_downloaded(
    zipped: Callable[..., Path],
) -> None:
    content = {f"app-main/{name}": data for name, data in entries().items()}
    assert open_artifact(zipped(content)).release == "1.4.0"


def test_a_name_in_two_forms_of_unicode_is_there_twice(zipped: Callable[..., Path]) -> None:
    names = {f"migrations/sql/0003_{form}.sql": "" for form in ("caf\u00e9", "cafe\u0301")}
    assert (
        "twice, its name in two forms of Unicode"
        in refused_unread(zipped(entries() | names)).message
    )


@pytest.mark.parametrize("character", "\u2028\u0085\n\t\x1b\u202e\x0b\x00\ufeff")
def test_a_name_with_a_character_that_nobody_sees_is_refused(
    character: str, tmp_path: Path
) -> None:
    content = entries() | {f"migrations/sql/0003_a{character}b.sql": "SELECT 1;"}
    error = refused_unread(written(tmp_path / "x.zip", content, zipfile.ZIP_STORED))
    assert "a character that nobody sees" in error.message
    assert error.message.isprintable()


def test_a_zip64_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries().items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data.encode() if isinstance(data, str) else data)
    assert len(open_artifact(path).project.migrations) == 2


@pytest.fixture
def large_release(
    project_factory: ProjectFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An artifact whose scripts are all large ones."""
    monkeypatch.setattr(large, "LARGE_BYTES", 1000)
    rows = ",\n".join(f"({number}, 'é{number}')" for number in range(2000))
    files = {
        f"sql/000{number}_a.sql": f"INSERT INTO t{number} VALUES\n{rows};\nSELECT {number};\n"
        for number in (1, 2, 3)
    }
    folder = project_factory(files | {"rollback/0001_rollback.sql": "DROP TABLE t1;\n"})
    return pack(folder, "1.4.0", tmp_path / "x.zip", created_at=NOON)


def test_a_large_script_is_the_same_read_from_the_zip(large_release: Path, tmp_path: Path) -> None:
    scripts = [one.forward for one in open_artifact(large_release).project.migrations]
    with zipfile.ZipFile(large_release) as archive:
        archive.extractall(tmp_path / "unpacked")
    on_disk = [one.forward for one in load_project(tmp_path / "unpacked/migrations").migrations]
    # In turn, as a reader goes back to a script that is not unpacked any more.
    for _ in range(2):
        for ours, theirs in zip(scripts, on_disk, strict=True):
            assert (ours.sql, ours.checksum, ours.head) == (
                theirs.sql,
                theirs.checksum,
                theirs.head,
            )
            pairs = zip(statements_of(ours), statements_of(theirs), strict=True)
            assert all((a.sql, a.offset) == (b.sql, b.offset) for a, b in pairs)


def unpacked_in(folder: Path) -> int:
    """How many files of a folder, none of which has a name any more, this process has open."""
    links = [
        os.fspath(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
    ]
    return sum(name.startswith(str(folder)) and name.endswith("(deleted)") for name in links)


def test_of_large_scripts_one_is_on_disk_at_a_time(large_release: Path, tmp_path: Path) -> None:
    project = open_artifact(large_release, tmp_path).project
    before = set(tmp_path.iterdir())
    assert unpacked_in(tmp_path) == 0
    for migration in project.migrations:
        for statement in statements_of(migration.forward):
            assert statement.sql
        assert unpacked_in(tmp_path) == 1
    assert set(tmp_path.iterdir()) == before


def test_a_release_whose_largest_file_does_not_fit_is_refused_before_it_is_read(
    large_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    error = refusal(large_release, OutOfSpace)
    assert "bytes free" in error.message
    assert "TmpMegabytes" in str(error.hint)
