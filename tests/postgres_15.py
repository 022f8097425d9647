"""A server of PostgreSQL 15, where the machine has the programs of one."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from turnback.local.programs import clean_environment, server_account
from turnback.local.scratch import scratch
from turnback.local.server import UNSAFE, _free_port

# Where the packages of Debian, Ubuntu and apt.postgresql.org put them; POSTGRES_15 names another.
PROGRAMS = Path(os.environ.get("POSTGRES_15", "/usr/lib/postgresql/15/bin"))


@contextmanager
def postgres_15(
    settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Its address, without the name of a database; skips the test where there is none.

    Args:
        settings: of the server.
        environment: variables that it gets.
    """
    if not (PROGRAMS / "initdb").is_file():
        pytest.skip(f"there is no PostgreSQL 15 in {PROGRAMS} (apt install postgresql-15)")
    account = server_account()
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with scratch("postgres-15") as folder:
        data, password, port = folder / "data", folder / "password", _free_port()
        data.mkdir(mode=0o700)
        password.write_text(secrets.token_urlsafe(12))
        if account:
            account.owns(data)
            account.owns(password)
        subprocess.run(
            [
                *(PROGRAMS / "initdb", "-D", data, "-U", "postgres", "--pwfile", password),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
                "--no-sync",
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
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [PROGRAMS / "postgres", "-D", data, *(f"--{n}={v}" for n, v in options.items())],
                env=clean_environment() | dict(environment or {}),
                cwd="/",
                stdout=log,
                stderr=log,
                **identity,  # type: ignore[call-overload]
            )
        try:
            base = f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}"
            _await(f"{base}/postgres")
            yield base
        finally:
            server.terminate()
            server.wait()


def _await(url: str) -> None:
    for _ in range(600):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("PostgreSQL 15 does not answer")
