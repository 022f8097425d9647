"""A statement as text again, out of the parser's tree.

libpg_query writes it, so that what was quoted, cast or nested stays what it means; comments are not
in the tree, and are lost. It takes the tree as a protobuf message. The message is encoded here, by
the descriptor that comes with the library: importing protobuf costs 80 ms, and its own way from
JSON takes four times as long.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from turnback.sql.parser import PgQueryError, SqlSyntaxError, beside_library, library
from turnback.sql.tree import Node


def deparse(kind: str, tree: Node) -> str:
    """The statement as one text, without a semicolon.

    Args:
        kind: the parser's name of it, such as ``IndexStmt``.
        tree: the parser's node; places in it are not looked at.

    Raises:
        SqlSyntaxError: it is nested too deeply to be written, or is no statement.
    """
    try:
        data = encoded("ParseResult", {"stmts": [{"stmt": {kind: tree}}]})
    except RecursionError:
        raise SqlSyntaxError("a statement is nested too deeply to be written", 0, "") from None
    message = _Message(len(data), data)
    result = _deparser().pg_query_deparse_protobuf(message)
    try:
        if result.error:
            raise SqlSyntaxError(result.error.contents.message.decode("utf-8"), 0, "")
        text: bytes = result.query
        return text.decode("utf-8")
    finally:
        _deparser().pg_query_free_deparse_result(result)


def expression(node: Node) -> str:
    """An expression as text."""
    return deparse("SelectStmt", {"targetList": [{"ResTarget": {"val": node}}]})[len("SELECT ") :]


_PLACES = ("location", "list_start", "list_end")


def without_places(node: Any) -> Any:
    """The tree without its positions in the text."""
    if isinstance(node, dict):
        return {k: without_places(v) for k, v in node.items() if not k.endswith(_PLACES)}
    return [without_places(value) for value in node] if isinstance(node, list) else node


class _Message(ctypes.Structure):
    _fields_ = (("len", ctypes.c_size_t), ("data", ctypes.c_char_p))


class _Result(ctypes.Structure):
    _fields_ = (("query", ctypes.c_char_p), ("error", ctypes.POINTER(PgQueryError)))


@cache
def _deparser() -> ctypes.CDLL:
    found = library()
    found.pg_query_deparse_protobuf.argtypes = [_Message]
    found.pg_query_deparse_protobuf.restype = _Result
    found.pg_query_free_deparse_result.argtypes = [_Result]
    found.pg_query_free_deparse_result.restype = None
    return found


# The wire format of protobuf (protobuf.dev/programming-guides/encoding), and the descriptor's own
# messages (google/protobuf/descriptor.proto).

_VARINT, _BYTES = 0, 2
_ENUM, _MESSAGE = 14, 11
_TEXTS = (9, 12)
_FLOATS = (1, 2)


class _Field(NamedTuple):
    """A field of a message.

    Attributes:
        tag: its number and its wire type, encoded.
        type: the descriptor's number of its type.
        of: the message or the enum it is of.
    """

    tag: bytes
    type: int
    of: str


def encoded(message: str, node: Node) -> bytes:
    """A node of the parser's JSON as a protobuf message, without its places in the text.

    Args:
        message: the name of its message in the library's descriptor.
    """
    fields = _fields_of(message)
    found = bytearray()
    for key, value in node.items():
        field = fields[key]
        if field is None:
            continue
        tag, type_, of = field
        for item in value if isinstance(value, list) else (value,):
            found += tag
            if type_ == _MESSAGE:
                data = encoded(of, item)
            elif type_ in _TEXTS:
                data = item.encode("utf-8")
            else:
                found += _varint(_values_of(of)[item] if type_ == _ENUM else int(item))
                continue
            found += _varint(len(data))
            found += data
    return bytes(found)


_SHORT = [bytes((value,)) for value in range(0x80)]


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return _SHORT[value]
    # A negative number is written as one of 64 bits.
    value &= 0xFFFFFFFFFFFFFFFF
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


@cache
def _fields_of(message: str) -> dict[str, _Field | None]:
    """The fields of a message, by both of the names that JSON may have for them.

    None stands for a place in the text.
    """
    found: dict[str, _Field | None] = {}
    for number, value in _read(_described()[message]):
        if number != _FIELD:
            continue
        inner = dict(_read(value))
        of = inner.get(6, b"").decode().rpartition(".")[2]
        type_ = inner[5]
        assert type_ not in _FLOATS
        wire = _BYTES if type_ == _MESSAGE or type_ in _TEXTS else _VARINT
        field = _Field(_varint(inner[3] << 3 | wire), type_, of)
        for name in {inner[key].decode() for key in (1, 10) if key in inner}:
            found[name] = None if name.endswith(_PLACES) else field
    return found


@cache
def _values_of(enum: str) -> dict[str, int]:
    values = [dict(_read(value)) for number, value in _read(_described()[enum]) if number == _FIELD]
    return {value[1].decode(): value.get(2, 0) for value in values}


# In a file 4 is a message and 5 an enum; in either 1 is the name, and 2 a field or a value.
_FIELD = 2


@cache
def _described() -> dict[str, bytes]:
    """Messages and enums by name, not read yet."""
    [(_, file)] = _read(beside_library("pg_query.desc").read_bytes())
    return {
        next(text for field, text in _read(item) if field == 1).decode(): item
        for number, item in _read(file)
        if number in (4, 5)
    }


def _read(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: the number of each, and an int or bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if tag & 7 == _BYTES:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1
