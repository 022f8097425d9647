"""A place like the one that Lambda gives a function, for its own handler, by Linux namespaces.

As there: a read-only root with the runtime in /var/lang, the function in /var/task and its layers
in /opt; a user without a name; /dev without shm; a /tmp of 512 MB (AWS Lambda developer guide,
"Lambda quotas"). Memory is limited for each process, not for all together as there. Not imitated:
the seccomp filter, the CPU share, freezing between calls, and Amazon Linux: the C library and the
programs in /usr are this machine's.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import queue
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]
USER = 60993
TMP_MEGABYTES = 512
# What Lambda's runtime brings along.
RUNTIME = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath", "six.py")
_RESULT = "result of the handler: "
_NEW_NETWORK = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1

_MAKE = r"""
set -e
root=$1 python=$2 layers=$3 code=$4 runtime=$5 memory=$6 user=$7 tmp=$8
show() { mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; }
mount --make-rprivate /
mount -t tmpfs -o mode=755 root "$root"
cd "$root"
mkdir -p usr etc proc dev tmp opt var/lang var/task var/runtime
for name in bin sbin lib lib64; do
    if [ -L /$name ]; then cp -P /$name .
    elif [ -d /$name ]; then mkdir $name; show /$name $name; fi
done
show /usr usr; show /etc etc
show "$python" var/lang; show "$layers" opt; show "$code" var/task
for name in $runtime; do
    to=var/runtime/$(basename "$name")
    if [ -d "$name" ]; then mkdir "$to"; else : > "$to"; fi
    show "$name" "$to"
done
for name in null zero full random urandom; do : > dev/$name; mount --bind /dev/$name dev/$name; done
mount -t proc proc proc
mount -t tmpfs -o "size=${tmp}m,mode=1777" tmp tmp
mount -o remount,ro "$root"
exec chroot --userspec="$user:$user" --groups= . /usr/bin/env -i - \
    /usr/bin/prlimit --as="$memory" --core=0 /usr/bin/env "${@:9}"
"""

_RUN = f"""
import json, sys, time
from app import handler

class Context:
    function_name = sys.argv[1]
    aws_request_id = "of-the-box"
    end = time.monotonic() + float(sys.argv[2])

    def get_remaining_time_in_millis(self):
        return int((self.end - time.monotonic()) * 1000)

try:
    result, failed = handler(json.load(sys.stdin), Context()), False
except Exception as error:
    result, failed = {{"errorMessage": str(error), "errorType": type(error).__name__}}, True
print({_RESULT!r} + json.dumps([result, failed]))
"""


class LambdaBox:
    """Runs handlers, each call in a new box.

    Args:
        layers: the layers, unpacked over each other: what is in /opt.
        folder: an empty folder, where roots of boxes are mounted; nothing is left there.
        endpoint: the address of moto, as a server.
    """

    def __init__(self, layers: Path, folder: Path, endpoint: str) -> None:
        self._layers = layers
        self._folder = folder
        self._endpoint = endpoint

    def call(
        self, function: Any, event: Any, memory_megabytes: int, *, network: bool = True
    ) -> tuple[str, bool, str]:
        """What ``handlers.call`` returns, of the handler in a box.

        Args:
            function: moto's.
            event: what it is invoked with.
            memory_megabytes: what the function has.
            network: whether it has this machine's; otherwise it has AWS alone.
        """
        name = function.function_name
        given = event if isinstance(event, str) else json.dumps(event)
        arguments = ["-c", _RUN, name, str(function.timeout)]
        done = self.python(
            arguments,
            variables=function.environment_vars,
            given=given,
            memory_megabytes=memory_megabytes,
            code=ROOT / "functions" / name,
            network=network,
        )
        last = next((x for x in done.stdout.splitlines()[::-1] if x.startswith(_RESULT)), None)
        assert last is not None, f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        result, failed = json.loads(last.removeprefix(_RESULT))
        return json.dumps(result), failed, ""

    def python(
        self,
        arguments: list[str],
        *,
        variables: Mapping[str, str] | None = None,
        given: str = "",
        memory_megabytes: int = 1024,
        code: Path = ROOT / "functions" / "rehearse",
        network: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in a box."""
        site = Path(boto3.__file__).parents[1]
        environment = {
            "PATH": "/var/lang/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": "/var/lang/lib",
            "PYTHONPATH": "/var/task:/opt/python:/var/runtime",
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "POWERTOOLS_TRACE_DISABLED": "true",
            **(variables or {}),
        }
        command = [
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *("bash", "-c", _MAKE, "box", os.fspath(self._folder), sys.base_prefix),
            *(os.fspath(self._layers), os.fspath(code)),
            " ".join(os.fspath(site / part) for part in RUNTIME),
            *(str(memory_megabytes << 20), str(USER), str(TMP_MEGABYTES)),
            *(f"{key}={value}" for key, value in environment.items()),
            f"/var/lang/bin/python{sys.version_info.major}.{sys.version_info.minor}",
            *arguments,
        ]
        if network:
            return _run(command, given)
        return Isolated(int(self._endpoint.rpartition(":")[2])).run(command, given)


def _run(command: list[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


class Isolated:
    """A network in which 127.0.0.1:port is an endpoint of S3, and nothing else answers.

    As isolated subnets with a gateway endpoint of S3. A network belongs to the thread that has left
    the others', and to what that thread starts.

    Args:
        port: of the server that stands for AWS.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._near: queue.Queue[socket.socket] = queue.Queue()
        self._scopes: list[str] = []

    def run(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        """Run a command there. It must ask S3 for something, and no other service."""
        threading.Thread(target=self._outside, daemon=True).start()
        with ThreadPoolExecutor(1) as inside:
            done = inside.submit(self._inside, command, given).result()
        assert set(self._scopes) == {"s3"}, self._scopes
        return done

    def _inside(self, command: list[str], given: str) -> subprocess.CompletedProcess[str]:
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare")
        _bring_up_loopback()
        with socket.create_server(("127.0.0.1", self._port)) as listener:
            threading.Thread(target=self._accept, args=[listener], daemon=True).start()
            return _run(command, given)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._near.put(listener.accept()[0])

    def _outside(self) -> None:
        while True:
            near = self._near.get()
            far = socket.create_connection(("127.0.0.1", self._port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=[*pair, self._scopes], daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, scopes: list[str]) -> None:
    while True:
        try:
            data = source.recv(65536)
            target.sendall(data)
        except OSError:
            return
        # The credential scope of a signature names the service.
        scopes += re.findall(r"/(\w+)/aws4_request", data.decode("latin-1"))
        if not data:
            return


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(probe, _GET_FLAGS, request))[1]
        fcntl.ioctl(probe, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
