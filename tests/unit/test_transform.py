"""The process that runs a user's Python: what it can do, and what the kernel refuses it.

The judges are the kernel, asked by its own calls through ctypes, the listener that sees no
connection, and the kernel's headers for the numbers of system calls.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import pytest
from turnback.engine.backfill.seccomp import MACHINES, filters
from turnback.engine.backfill.transform import Transform, TransformFailed
from turnback.engine.backfill.transform_child import unpack
from turnback.errors import CodeNotAllowed
from turnback.migrations.model import Script
from turnback.migrations.python import read_code
from turnback.settings.environment import CodeRule

pytestmark = pytest.mark.skipif(filters() is None, reason="this system has no seccomp")
PATH = "sql/0002_code.py"


class Process:
    """A Transform of some source, and what it has printed."""

    def __init__(self, source: str, memory: int = 256 * 2**20, time_s: float = 10) -> None:
        source = dedent(source)
        self.printed: list[str] = []
        script, code = Script(PATH, source, ""), read_code(PATH, source)
        self.transform = Transform(
            script, code, memory, time_s, CodeRule.CLOSED, self.printed.append
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.transform.close()

    def rows(self, *rows: object) -> list[dict[str, object]]:
        """The rows, as JSON, that it makes of rows with one column ``v``."""
        return [row for (row,) in self.transform(["v"], [[row] for row in rows])]

    def failure(self, *rows: object) -> TransformFailed:
        with pytest.raises(TransformFailed) as caught:
            self.rows(*rows or [1])
        return caught.value


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP and a Unix socket that somebody listens on, as PostgreSQL does."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        yield tcp, unix


# Each probe by its name, and the error number that it got; 0 where it worked.
PROBES = """
import ctypes, io, os, signal, socket, struct, subprocess, threading

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *[
        a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments])
    return ctypes.get_errno() if done < 0 else 0

def attempt(action):
    try:
        action()
    except OSError as error:
        return error.errno
    except RuntimeError as error:
        return str(error)
    return 0

def transform(rows):
    [row] = rows
    port, path, parent = row["v"]["port"], row["v"]["path"], row["v"]["parent"]
    tcp = struct.pack("=HHI8x", 2, socket.htons(port), 0x0100007F)
    unix = struct.pack("=H", 1) + path.encode() + bytes(1)
    yield {"probe": "socket", "got": attempt(lambda: socket.create_connection(("127.0.0.1", port)))}
    for name, address in (("tcp", tcp), ("unix", unix)):
        family = 2 if name == "tcp" else 1
        yield {"probe": name + " socket(2)", "got": call(SOCKET, family, 1, 0)}
        for fd in range(6):
            found = libc.connect(fd, address, len(address))
            yield {"probe": f"{name} connect(2) {fd}", "got": ctypes.get_errno() if found else 0}
    for name, number in NUMBERS.items():
        yield {"probe": name, "got": call(number, 0, 0, 0, 0, 0, 0)}
    for path in (f"/proc/{parent}/environ", "/proc/self/environ", "/etc/passwd", "made"):
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
            yield {"probe": f"open {path} {flags}", "got": attempt(lambda: os.open(path, flags))}
    yield {"probe": "kill the parent", "got": attempt(lambda: os.kill(parent, 0))}
    yield {"probe": "fork", "got": attempt(os.fork)}
    yield {"probe": "program", "got": attempt(lambda: subprocess.run(["true"]))}
    yield {"probe": "thread", "got": attempt(threading.Thread(target=print).start)}
    yield {"probe": "variables", "got": sorted(os.environ)}
"""
# Numbers of calls that reach the network, other processes or the kernel's own machinery.
NUMBERS = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "openat2": 437,
    "clone3": 435,
    **(
        {"socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "socketpair": 53}
        | {"clone": 56, "execve": 59, "kill": 62, "ptrace": 101, "prctl": 157, "mount": 165}
        | {"keyctl": 250, "unshare": 272, "process_vm_readv": 310, "seccomp": 317, "bpf": 321}
        | {"userfaultfd": 323, "prlimit64": 302, "setrlimit": 160, "dup": 32, "ioctl": 16}
        if os.uname().machine == "x86_64"
        else {"socket": 198, "connect": 203, "ptrace": 117, "execve": 221, "bpf": 280}
    ),
}


def test_it_reaches_no_network_no_file_and_no_other_process(
    listener: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    tcp, unix = listener
    row = {"port": tcp.getsockname()[1], "path": unix.getsockname(), "parent": os.getpid()}
    source = f"SOCKET = {NUMBERS['socket']}\nNUMBERS = {NUMBERS}\n{PROBES}"
    with Process(source) as process:
        got = {one["probe"]: one["got"] for one in process.rows(row)}
    variables = set(got.pop("variables"))
    assert variables <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH"}
    assert got.pop("thread") == "can't start new thread"
    refused = {name for name, error in got.items() if error == 1}
    assert refused == got.keys()
    for one in listener:
        one.settimeout(0)
        with pytest.raises(BlockingIOError):
            one.accept()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other calls of x86-64 alone")
@pytest.mark.parametrize(
    "call",
    [
        # getpid of the x32 ABI; socket of the 32-bit ABI, by int 0x80: mov eax, 359; int 0x80; ret.
        "ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))",
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(code))()",
    ],
)
def test_a_system_call_of_another_architecture_ends_it(call: str) -> None:
    source = f"""
    import ctypes, mmap
    def transform(rows):
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(bytes.fromhex("b867010000cd80c3"))
        code = ctypes.c_char.from_buffer(memory)
        {call}
    """
    with Process(source) as process:
        assert "SIGSYS: a system call of another architecture" in process.failure().message


def test_the_numbers_of_system_calls_are_those_of_the_kernel_headers() -> None:
    headers = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    for name, header in headers.items():
        if not header.exists():
            pytest.skip("linux-libc-dev is not installed")
        known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
        known["newfstatat"] = known.get("newfstatat") or known["fstatat"]
        machine = MACHINES[name]
        ours = machine.always | machine.reading
        ours |= {call: number for call, (number, _) in machine.opening.items()}
        assert ours == {call: int(known[call]) for call in ours}


VALUES = [
    *(None, True, 7, 2**70, 1.5, "é\0☃", [1, [2, None]], {"a": {"b": [1.5, None]}}, b"\0\xff"),
    *(Decimal("1.10"), date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, 6, UTC), time(1, 2, 3)),
    *(timedelta(-1, 5, 7), UUID(int=5), ip_address("::1"), ip_interface("10.0.0.1/8")),
]


def test_values_of_rows_arrive_as_they_are_and_come_back() -> None:
    code = "def transform(rows):\n    return [('…', [row['v']]) for row in rows]"
    with Process(code) as process:
        results = process.transform(["v"], [[value] for value in VALUES])
    found = [unpack(value) for _, [value] in results]
    assert found == VALUES
    assert list(map(type, found)) == list(map(type, VALUES))


def test_what_the_standard_library_imports_late_is_there() -> None:
    source = """
    import decimal, hashlib, re, secrets, time, uuid
    from datetime import datetime
    def transform(rows):
        from zoneinfo import ZoneInfo
        for row in rows:
            at = datetime.strptime(row["v"], "%d %B %Y").replace(tzinfo=ZoneInfo("Europe/Berlin"))
            time.sleep(0.001)
            secrets.token_hex(), uuid.uuid4(), "münchen".encode("idna")
            yield {"at": at.isoformat(), "hash": hashlib.sha256(b"").hexdigest()[:4]}
            print("seen", row["v"])
    """
    with Process(source) as process:
        assert process.rows("1 July 2026") == [{"at": "2026-07-01T00:00:00+02:00", "hash": "e3b0"}]
        assert process.printed == ["seen 1 July 2026\n"]


def test_an_exception_has_its_place_and_shows_no_value_of_a_row() -> None:
    source = """
    def check(value):
        if value > 1:
            raise ValueError("too much")
        return {}[value]
    def transform(rows):
        for row in rows:
            yield {"v": check(row["v"])}
    """
    with Process(source) as process:
        found = process.failure(2)
        assert (found.message, found.line, found.column) == ("ValueError: too much", 4, 9)
        assert found.detail is None
        found = process.failure(1)
        assert (found.message, found.line, found.detail) == ("KeyError", 5, "KeyError: 1")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("return [{'a': {'b': {1, 2}}}]", "a has a set, which is no value of a row or of JSON"),
        ("return [{'a': {'b': float('nan')}}]", "a has a float, which is no value"),
        ("return [{'a': {1: 2}}]", "a has a int, which is no value"),
        ("return [{'a': object()}]", "a has a object, which is no value"),
        ("return 5", "transform returns rows or statements, not a int"),
        ("return ['x']", "a row is a dict, a statement is (sql, parameters), and not a str"),
        ("raise SystemExit", "SystemExit"),
        ("raise ValueError('\\0 \\ud800')", "ValueError: \\u0000 \\ud800"),
        ("import os; os._exit(3)", "its process ended (exit code 3)"),
        ("import ctypes; ctypes.string_at(0)", "its process ended (SIGSEGV)"),
        ("return [{'a': 'x' * 2**29}]", "it needed more memory than its limit, 256 MB"),
        ("return [{'a': 'x' * (17 * 2**20)}]", "the rows of a batch have more than 16 MB"),
        ("import os; os.write(3, b'xxxx')", "its answer cannot be read"),
        ("import os; os.write(3, b'\\0\\0\\0\\2[]')", "its answer cannot be read"),
        ("import os; os.write(3, b'\\0\\1\\0\\0' + b'[' * 65536)", "its answer cannot be read"),
        ("open('/etc/passwd')", "a migration has no network, files, threads or other programs"),
    ],
)
def test_what_goes_wrong_is_named(source: str, said: str) -> None:
    with Process(f"def transform(rows):\n    {source}") as process:
        found = process.failure()
        assert said in found.message
        assert found.of_rows


def test_a_batch_that_takes_too_long_is_ended_and_the_next_one_runs() -> None:
    source = """
    def transform(rows):
        while rows[0]["v"]:
            pass
        return rows
    """
    with Process(source, time_s=0.3) as process:
        assert process.failure(1).message == "a batch took longer than its time limit, 0.3 s"
        assert process.rows(0) == [{"v": 0}]


def test_code_that_does_not_load_is_no_fault_of_a_row() -> None:
    with Process("import json\nx = 1 / 0\ndef transform(rows): ...") as process:
        found = process.failure()
    assert (found.message, found.line, found.of_rows) == ("ZeroDivisionError", 2, False)


@pytest.mark.parametrize("machine", ["riscv64", "x86_64"])
def test_where_the_network_cannot_be_closed_it_runs_for_an_own_database_only(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Systems that the tests do not run on.
    monkeypatch.setattr("platform.machine", lambda: machine)
    if machine == "x86_64":
        monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(CodeNotAllowed, match="cannot be kept from the network"):
        Process("def transform(rows): ...")
