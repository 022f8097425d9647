"""PgBouncer in front of a server: the package of Debian, installed or unpacked beside the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from turnback.local.programs import server_account, state_folder
from turnback.local.scratch import scratch

ROOT = Path(__file__).resolve().parents[1]
# What the program is linked with that no minimal system has.
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")


def _program() -> Path:
    """Skips the test where there is none, and no apt-get to fetch it."""
    for found in (shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if found and Path(found).is_file():
            return Path(found)
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip("there is no PgBouncer (apt install pgbouncer)")
    account = server_account()
    folder = ROOT / ".turnback" / "pgbouncer"
    home = state_folder(account, "pgbouncer", folder) if account else folder
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        program = home / "usr" / "sbin" / "pgbouncer"
        if not program.is_file():
            command = ["apt-get", "download", *PACKAGES]
            if subprocess.run(command, cwd=home, capture_output=True).returncode:
                pytest.skip("PgBouncer cannot be downloaded")
            for package in home.glob("*.deb"):
                subprocess.run(["dpkg", "-x", package, home], check=True)
        return program


@contextmanager
def pgbouncer(url: str, mode: str, *lines: str) -> Iterator[str]:
    """The address of a pooler in front of a server.

    Args:
        url: of the database, by TCP.
        mode: ``session`` or ``transaction``.
        lines: more of its settings.
    """
    program, account = _program(), server_account()
    parts = urlsplit(url)
    with scratch("pgbouncer") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (folder / "users").write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
        settings = (
            "[databases]",
            f"* = host={parts.hostname} port={parts.port}",
            "[pgbouncer]",
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
            f"pool_mode = {mode}\nauth_type = scram-sha-256\nauth_file = {folder}/users",
            *lines,
        )
        (folder / "settings").write_text("\n".join(settings) + "\n")
        if account:
            account.owns(folder)
        libraries = [*program.parents[1].glob("lib/*-linux-gnu")]
        process = subprocess.Popen(
            [program, folder / "settings"],
            env={"LD_LIBRARY_PATH": ":".join(map(os.fspath, libraries))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        try:
            for _ in range(500):
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.01)
            yield f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
        finally:
            process.kill()
            process.wait()
