"""The program that runs ``transform(rows)`` of a user, in a process of its own.

It has no import but the standard library's, as it is started without any path to turnback. It reads
frames from its standard input and answers each on its standard output: four bytes of length, then
JSON. The first has the user's text and the limits, each further one a batch of rows.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import importlib
import io
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, BinaryIO
from uuid import UUID

# Longer ones are cut: a frame, what was printed, what an exception says.
MOST_BYTES = 16 * 2**20
MOST_PRINTED = 4000
_MOST_TEXT = 500
# prctl(2), seccomp(2).
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9
_SET_MODE_FILTER = 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}
# What the standard library imports only when it is needed, which is too late here.
_LATE = (
    *("_strptime", "calendar", "copy", "encodings.ascii", "encodings.cp1252", "encodings.idna"),
    *("encodings.latin_1", "encodings.punycode", "encodings.utf_16", "encodings.utf_8_sig"),
    *("locale", "random", "stringprep", "unicodedata"),
)


class TooMuch(Exception):
    """A frame is longer than ``MOST_BYTES``."""


class Misused(TypeError):
    """What ``transform`` has returned is neither rows nor statements."""


class Unfit(ValueError):
    """A value that cannot be a value of a row; ``where`` is its column, and the keys inside."""

    def __init__(self, where: str, value: object) -> None:
        super().__init__(where)
        self.where, self.kind = where, type(value).__name__


def send(file: BinaryIO, frame: object) -> None:
    """Write a frame. Raises TooMuch, OSError."""
    data = json.dumps(frame).encode("ascii")
    if len(data) > MOST_BYTES:
        raise TooMuch(len(data))
    file.write(len(data).to_bytes(4, "big") + data)
    file.flush()


def receive(file: BinaryIO) -> Any:
    """Read a frame. Raises EOFError at the end, ValueError for what is no frame."""
    head = file.read(4)
    if len(head) < 4:
        raise EOFError
    size = int.from_bytes(head, "big")
    if size > MOST_BYTES:
        raise ValueError(size)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return json.loads(data)


_READ: dict[str, Any] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": bytes.fromhex,
    **dict.fromkeys(("IPv4Address", "IPv6Address"), ip_address),
    **dict.fromkeys(("IPv4Interface", "IPv6Interface"), ip_interface),
    **dict.fromkeys(("IPv4Network", "IPv6Network"), ip_network),
}


_PLAIN = frozenset({type(None), bool, int, str})


def as_json(value: object, where: str, *, inside: bool = False) -> Any:
    """A value as the JSON from which the server makes a column's value.

    Args:
        value: the value.
        where: its place, for an error.
        inside: whether it is inside of a JSON object, which has plain values only.

    Raises:
        Unfit: it is of another type.
    """
    if type(value) in _PLAIN:
        return value
    match value:
        case float() if math.isfinite(value):
            return value
        case bool() | int() | str():
            return value
        case list() | tuple():
            items = enumerate(value)
            return [as_json(one, f"{where}[{n}]", inside=inside) for n, one in items]
        case dict():
            for name in value:
                if not isinstance(name, str):
                    raise Unfit(where, name)
            names = value.items()
            return {name: as_json(one, f"{where}.{name}", inside=True) for name, one in names}
        case _ if inside:
            raise Unfit(where, value)
        case bytes() | bytearray() | memoryview():
            return f"\\x{bytes(value).hex()}"
        case timedelta():
            return f"{value.days} days {value.seconds}.{value.microseconds:06} seconds"
    return _text(value, where)


def _text(value: object, where: str) -> str:
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) or type(value).__name__ in _READ:
        return str(value)
    raise Unfit(where, value)


def pack(value: object, where: str) -> Any:
    """A value so that ``unpack`` makes the same of it: a plain one as it is, others with a name.

    Raises:
        Unfit: it is of a type that rows do not have.
    """
    kind = type(value).__name__
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return ["list", [pack(one, f"{where}[{n}]") for n, one in enumerate(value)]]
        case dict():
            return ["dict", as_json(value, where)]
        case timedelta():
            return [kind, [value.days, value.seconds, value.microseconds]]
        case bytes() | bytearray() | memoryview():
            return ["bytes", bytes(value).hex()]
    return [kind, _text(value, where)]


def unpack(packed: Any) -> Any:
    """What was packed."""
    if not isinstance(packed, list):
        return packed
    kind, content = packed
    if kind == "list":
        return [unpack(one) for one in content]
    return content if kind == "dict" else _READ[kind](content)


def lock_down(first: Mapping[str, Any]) -> ctypes.CDLL | None:
    """Set the limits, and the first filter; what sets the second, where there are filters.

    Raises:
        OSError: the kernel refuses one.
    """
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: 64}
    # macOS has the limit, and refuses to set it.
    if sys.platform.startswith("linux"):
        limits[resource.RLIMIT_AS] = first["memory"]
    for limit, value in limits.items():
        _, most = resource.getrlimit(limit)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (value, value))
    if not first["filters"]:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # It ends with the thread that started it, cannot be traced, and gains no rights.
    for option, value in ((_SET_PDEATHSIG, _SIGKILL), (_SET_DUMPABLE, 0), (_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    set_filter(libc, bytes.fromhex(first["filters"][0]))
    return libc


def set_filter(libc: ctypes.CDLL, program: bytes) -> None:
    """Add a filter of system calls. Raises OSError."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_char_p)]

    filter_ = Program(len(program) // 8, program)
    number = ctypes.c_long(_SECCOMP[os.uname().machine])
    if libc.syscall(
        number, ctypes.c_long(_SET_MODE_FILTER), ctypes.c_long(0), ctypes.byref(filter_)
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


def import_all(names: list[str]) -> None:
    """Import what the user's text names, and what that would import later."""
    for name in (*_LATE, *names):
        # One that cannot be imported fails again where the user's text imports it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if "zoneinfo" in sys.modules:
        zoneinfo = sys.modules["zoneinfo"]
        # Kept, so that a zone is not read from its file again.
        for name in zoneinfo.available_timezones():
            _zones.append(zoneinfo.ZoneInfo(name))


_zones: list[object] = []


class Printed(io.TextIOBase):
    """What the user's code prints, as much of it as is shown."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = (self.text + text)[:MOST_PRINTED]
        return len(text)

    def take(self) -> str:
        text, self.text = self.text, ""
        return text


def fault(error: BaseException, path: str) -> dict[str, Any]:
    """An exception of the user's code, with its last place in that code."""
    # Not by traceback, which reads files.
    place: dict[str, Any] = {}
    step = error.__traceback__
    while step:
        code = step.tb_frame.f_code
        if code.co_filename == path:
            _, _, column, _ = next(itertools.islice(code.co_positions(), step.tb_lasti // 2, None))
            place = {"line": step.tb_lineno, "column": (column or 0) + 1}
        step = step.tb_next
    if isinstance(error, (MemoryError, TooMuch)):
        return {"kind": "size" if isinstance(error, TooMuch) else "memory", **place}
    if isinstance(error, Unfit):
        return {"kind": "unfit", "text": error.kind, "where": error.where, **place}
    if isinstance(error, Misused):
        return {"kind": "misused", "text": str(error), **place}
    name, said = type(error).__name__, ""
    with contextlib.suppress(Exception):
        said = str(error)
    return {"kind": "exception", "name": name, "text": said[:_MOST_TEXT], **place}


def results(found: object) -> Iterator[list[Any]]:
    """What ``transform`` has returned: of each one whether it is a row, and its content."""
    if found is None:
        return
    if isinstance(found, (dict, str)) or not hasattr(found, "__iter__"):
        raise Misused(f"transform returns rows or statements, not a {type(found).__name__}")
    for one in found:
        if isinstance(one, dict):
            yield [{str(name): as_json(value, str(name)) for name, value in one.items()}]
        elif isinstance(one, (tuple, list)) and len(one) == 2 and isinstance(one[0], str):
            yield [one[0], parameters(one[1])]
        else:
            raise Misused(
                f"a row is a dict, a statement is (sql, parameters), and not a {type(one).__name__}"
            )


def parameters(found: object) -> Any:
    """Those of a statement: by place, or by name."""
    if isinstance(found, dict):
        return {str(name): pack(value, f"the parameter {name}") for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [pack(value, f"the parameter {n}") for n, value in enumerate(found, 1)]
    raise Misused(f"parameters are a list, a tuple or a dict, and not a {type(found).__name__}")


def main() -> None:
    """Serve until the other side closes its end."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What writes past sys.stdout goes where the other side shows what an ending process says.
    os.dup2(2, 1)
    printed = Printed()
    sys.stdout = sys.stderr = printed
    first = receive(requests)
    path, source = first["path"], first["source"]
    try:
        libc = lock_down(first)
    except OSError as error:
        send(answers, {"fault": {"kind": "filter", "text": str(error)}, "printed": ""})
        return
    try:
        import_all(first["imports"])
        if libc:
            set_filter(libc, bytes.fromhex(first["filters"][1]))
        names: dict[str, Any] = {"__name__": "migration", "__builtins__": builtins}
        exec(compile(source, path, "exec", dont_inherit=True), names)
        transform = names["transform"]
    except BaseException as error:
        send(answers, {"fault": fault(error, path), "printed": printed.take()})
        return
    send(answers, {"printed": printed.take()})
    while True:
        try:
            batch = receive(requests)
        except EOFError:
            return
        answer: dict[str, Any]
        try:
            rows = [
                dict(zip(batch["columns"], map(unpack, row), strict=True)) for row in batch["rows"]
            ]
            answer = {"results": list(results(transform(rows)))}
            answer["printed"] = printed.take()
            send(answers, answer)
        except BaseException as error:
            found = fault(error, path)
            # What it holds may be what there was no memory for.
            error = answer = rows = batch = None  # type: ignore[assignment]
            send(answers, {"fault": found, "printed": printed.take()})


if __name__ == "__main__":
    main()
