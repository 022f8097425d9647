"""Migrations in Python: a file with ``def transform(rows)``, read without running it."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass

from turnback.errors import InvalidMigration

_STORED = " (stored)"
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*turnback:")
_FUNCTION = "transform"


def is_python(path: str) -> bool:
    """Whether a script is Python, by its path; that of a stored one says so at its end."""
    return path.removesuffix(_STORED).endswith(".py")


def as_comments(text: str) -> str:
    """The comments of a Python file as comments of SQL, line by line, for what reads headers."""
    lines, in_header = list[str](), True
    for line in text.split("\n"):
        stripped = line.strip()
        in_header = in_header and (not stripped or stripped.startswith("#"))
        if in_header or _DIRECTIVE.match(line):
            lines.append(line.replace("#", "--", 1))
        else:
            lines.append("x" if stripped else "")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Code:
    """What a Python file says of itself.

    Attributes:
        line: of its ``def transform``.
        imports: the modules that it imports, anywhere.
        texts: the texts that are written in it.
    """

    line: int
    imports: tuple[str, ...]
    texts: frozenset[str] = frozenset()


def read_code(path: str, text: str) -> Code:
    """What is needed to run a file; nothing of it is run.

    Raises:
        InvalidMigration: it is not Python, has no ``transform(rows)``, or imports a module that is
            not of the standard library.
    """

    def refused(message: str, hint: str, node: ast.stmt | None = None) -> InvalidMigration:
        line, column = (node.lineno, node.col_offset + 1) if node else (1, 1)
        return InvalidMigration(message, file=path, line=line, column=column, hint=hint)

    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line, column = (getattr(error, name, None) or 1 for name in ("lineno", "offset"))
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        # The files that `turnback generate` writes are SQL.
        hint = "begin the lines of the header with #" if text.startswith("--") else None
        raise InvalidMigration(said, file=path, line=line, column=column, hint=hint) from None
    imports = dict[str, ast.stmt]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {one.name: node for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports["." * node.level + (node.module or "")] = node
    for name, node in imports.items():
        if name.partition(".")[0] not in sys.stdlib_module_names:
            raise refused(
                f"the module {name} is not of Python's standard library, and a migration has no "
                "other",
                "write what it does into the file",
                node,
            )
    found = [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == _FUNCTION
    ]
    if not found:
        raise refused("there is no function transform", "write: def transform(rows): …")
    function = found[-1]
    arguments = function.args
    needed = len(arguments.posonlyargs + arguments.args) - len(arguments.defaults)
    takes_rows = needed == 1 or (needed < 1 and (arguments.args or arguments.vararg))
    if isinstance(function, ast.AsyncFunctionDef) or not takes_rows:
        raise refused("transform takes one argument", "write: def transform(rows): …", function)
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    texts = frozenset(value for value in constants if isinstance(value, str))
    return Code(function.lineno, tuple(imports), texts)
