"""``init``, ``generate`` and ``package``: the files of a project."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, count, reported
from turnback.errors import ConfigurationError, ProjectNotFound
from turnback.migrations.checksums import FILE, digest, scripts_of, write_sums
from turnback.migrations.discovery import load_project, scan

_FORWARD = """\
-- Migration: {name}
-- Version: {version}
-- Date: {date}

"""
_ROLLBACK = """\
-- Migration: {name} (rollback)
-- Version: {version}
-- Date: {date}

"""


@click.command(epilog="Example: turnback init --dir db/migrations")
@opt.directory
@opt.as_json
@reported
def init(*, directory: Path, out: Output) -> None:
    """Make the folders of a project. What is there already is left as it is."""
    made = []
    for name in ("sql", "rollback", "verify"):
        folder = directory / name
        if not folder.is_dir():
            try:
                folder.mkdir(parents=True)
            except OSError as exc:
                raise ConfigurationError(
                    f"{folder} cannot be made: {exc.strerror}", hint="choose another with --dir"
                ) from exc
            (folder / ".gitkeep").touch()
            made.append(str(folder))
    if not (directory / FILE).exists():
        write_sums(directory, {})
        made.append(str(directory / FILE))
    out.document |= {"status": "succeeded", "made": made}
    for path in made:
        out.result(f"  made {path}")
    out.result("Next: turnback generate NAME" if made else "Nothing to do.")


@click.command(epilog="Example: turnback generate add_users")
@click.argument("name")
@click.option("--timestamp", is_flag=True, help="Number it by the time (UTC), as 14 digits.")
@opt.directory
@opt.as_json
@reported
def generate(*, name: str, timestamp: bool, directory: Path, out: Output) -> None:
    """Write the next numbered pair of files, forward and rollback, and record them."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug or len(slug) > 200:
        raise ConfigurationError(
            f"'{name}' gives no name for a file", hint="use letters and digits, such as add_users"
        )
    if not (directory / "sql").is_dir():
        raise ProjectNotFound(
            f"no folder 'sql' in {directory}", hint="make the folders first: turnback init"
        )
    project, findings = scan(directory)
    if findings:
        raise findings[0]
    version = _next_version([m.version for m in project.migrations], timestamp)
    values = {"name": slug, "version": version, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    files = {
        f"sql/{version}_{slug}.sql": _FORWARD.format(**values),
        f"rollback/{version}_rollback.sql": _ROLLBACK.format(**values),
    }
    sums = dict(project.sums or {s.path: s.checksum for s in scripts_of(project)})
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        sums[path] = digest(text.encode())
        out.result(f"  made {target}")
    write_sums(directory, sums)
    out.document |= {"status": "succeeded", "version": version, "files": list(files)}
    out.result("Next: write their SQL, then turnback check --fix && turnback up")


def _next_version(versions: list[str], timestamp: bool) -> str:
    last = versions[-1] if versions else "0000"
    if timestamp or len(last) == 14:
        now = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
        return now if int(now) > int(last) else str(int(last) + 1)
    return str(int(last) + 1).zfill(max(len(last), 4))


@click.command(epilog="Example: turnback package --release 1.4.0")
@click.option("--release", required=True, help="The release's number, a semantic version.")
@click.option(
    "--out", "target", type=click.Path(path_type=Path), help="The zip; RELEASE.zip if not given."
)
@opt.directory
@opt.as_json
@reported
def package(*, release: str, target: Path | None, directory: Path, out: Output) -> None:
    """Make the artifact of a release: a zip of all migrations with their checksums."""
    from turnback.migrations.artifact import pack

    project = load_project(directory)
    path = target or Path(f"{release}.zip")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {path.parent}", hint="make it, or use --out")
    pack(directory, release, path, source=source_of(directory))
    data = path.read_bytes()
    out.document |= {
        "status": "succeeded",
        "artifact": str(path),
        "release": release,
        "sha256": digest(data),
        "migrations": len(project.migrations),
    }
    number = count(len(project.migrations), "migration")
    out.result(f"{path}: release {release}, {number}, {len(data):,} bytes")
    out.result(f"sha256 {digest(data)}")
    key = f"artifacts/TARGET/{release}.zip"
    out.result(f"Next: turnback release {path} --watch, or upload it as {key}")


def source_of(directory: Path) -> dict[str, str]:
    """Commit and origin of the checkout the folder is in, where git knows them."""
    commands = {
        "commit": ["git", "-C", str(directory), "rev-parse", "HEAD"],
        "repository": ["git", "-C", str(directory), "config", "--get", "remote.origin.url"],
    }
    source = {}
    for key, command in commands.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode == 0 and done.stdout.strip():
            # A token in the address of the origin stays out of the artifact.
            source[key] = re.sub(r"://[^/@]*@", "://", done.stdout.strip())
    return source
