"""Start and stop the local AWS, in an environment and a temporary folder of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.session
from botocore.config import Config

from turnback.errors import AwsError, ConfigurationError
from turnback.local import emulator
from turnback.local.scratch import MARK

REGION = "us-east-1"
ACCOUNT = "000000000000"
START_SECONDS = 60.0
LOG_LINES = 20


class LocalAws:
    """A running local AWS. As a context manager it is stopped at the end."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, log: Path, key: Mapping[str, str]
    ) -> None:
        """Describe one that runs; :meth:`start` starts one.

        Args:
            process: the emulator, leader of its process group.
            port: where it listens on 127.0.0.1.
            log: its log file.
            key: the variables with the access key of its root user.
        """
        self.endpoint = f"http://127.0.0.1:{port}"
        self.log = log
        self._process = process
        self._key = dict(key)
        # The user's own settings are not read: neither files nor variables.
        nothing = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        self._session = boto3.session.Session(
            aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
            botocore_session=botocore.session.Session(session_vars=nothing),
        )

    @classmethod
    def start(cls, python: Path, folder: Path) -> Self:
        """Start one on a free port of 127.0.0.1, with an access key of its own.

        It ends when this process ends, however that happens: it watches a pipe that only we hold.

        Args:
            python: the interpreter of its environment.
            folder: the scratch folder of this run.

        Raises:
            AwsError: it does not start; the message has the end of its log.
        """
        home = folder / "aws"
        (home / "tmp").mkdir(parents=True)
        # Other users may enter the folder, for the layers of functions.
        for private in ("s3", "state"):
            (home / private).mkdir(mode=0o700)
        log = home / "emulator.log"
        log.touch(mode=0o600)
        port = _free_port()
        key = {
            "AWS_ACCESS_KEY_ID": f"AKIA{secrets.token_hex(8).upper()}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                # -I: neither the user's settings nor our own folder are on its import path.
                [python, "-I", emulator.__file__],
                env=_environment(folder, home, port) | key,
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running = cls(process, port, log, key)
        try:
            running._await_ready(port)
        except BaseException:
            running.stop()
            raise
        return running

    def _await_ready(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            # Not urllib, which would ask the user's proxy.
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("GET", emulator.HEALTH)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        raise AwsError(
            f"The local AWS did not start:\n{self.log.read_text(errors='replace')[-2000:]}",
            hint="Remove .turnback/local-aws; the next start makes its environment again.",
        )

    @property
    def group(self) -> int:
        """The process group of the emulator and of its functions."""
        return self._process.pid

    def client(self, service: str) -> Any:
        """A boto3 client of this AWS, whatever the user's own settings say."""
        return self._session.client(
            service,
            endpoint_url=self.endpoint,
            config=Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def variables(self) -> dict[str, str]:
        """The environment variables that make the command line use this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            **self._key,
        }

    def newest_log_lines(self, group: str) -> list[str]:
        """The newest log lines of the functions.

        Args:
            group: the log group they write to.
        """
        events = self.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"].strip() for event in events][-LOG_LINES:]

    def stop(self) -> None:
        """End the emulator and every function that still runs."""
        with contextlib.suppress(ProcessLookupError):
            # Its data is discarded, so it need not shut down cleanly; and on SIGTERM it would
            # leave the functions running.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _environment(folder: Path, home: Path, port: int) -> dict[str, str]:
    """The emulator's whole environment; nothing of the user's reaches a function."""
    return {
        MARK: os.fspath(folder),
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TMPDIR": os.fspath(home / "tmp"),
        "STATE_DIR": os.fspath(home / "state"),
        "S3_DATA_DIR": os.fspath(home / "s3"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        # The template's roles are enforced, so that a missing permission fails here.
        "AUTH": "true",
        # The same behaviour with and without Docker.
        "DOCKER_HOST": f"unix://{home}/no-docker",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "WARNING",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


REQUIREMENTS = "requirements/local-aws.txt"


def local_aws_python(root: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of the local AWS's environment, made in ``.turnback`` on first use.

    Made again when the requirements or our interpreter change. It is a separate environment because
    ministack pins libraries that ours cannot share.

    Args:
        root: the checkout.
        say: called before the part that takes long.

    Raises:
        ConfigurationError: the environment cannot be made.
    """
    requirements = root / REQUIREMENTS
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    home = root / ".turnback"
    home.mkdir(exist_ok=True)
    folder = home / "local-aws"
    stamp = folder / "made-from"
    with (home / "local-aws.lock").open("w") as lock:
        # Two demos at the same time make it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            say(f"Making the environment of the local AWS from {REQUIREMENTS} (once)")
            _make(folder, requirements, wanted)
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path, wanted: str) -> None:
    for left in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.new-"))
    try:
        _run([sys.executable, "-m", "venv", new])
        _run(
            [
                *(new / "bin" / "python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--require-hashes", "-r", requirements),
            ]
        )
        (new / "made-from").write_text(wanted)
        if folder.exists():
            shutil.rmtree(folder)
        # Only the interpreter is used, and it finds its environment wherever that was moved.
        new.rename(folder)
    finally:
        if new.exists():
            shutil.rmtree(new)


def _run(command: list[Path | str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ConfigurationError(
            f"The environment of the local AWS could not be made:\n{done.stderr.strip()[-2000:]}",
            hint="It needs the package registry; try again when that can be reached.",
        )
