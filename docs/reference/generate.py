"""Write what the reference takes from the code; `make reference` does it, a contract test holds it.

cli.md has each command from click, between two comments; json.md and commands.schema.json are what
`--json` prints, from turnback.cli.documents.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import EnumMeta
from pathlib import Path
from typing import Any

import click
from turnback.cli.documents import DOCUMENTS
from turnback.cli.documents.parts import Refused, Unfinished
from turnback.cli.main import COMMANDS, cli

FOLDER = Path(__file__).parent
SCHEMA = "commands.schema.json"
BEGIN, END = "<!-- `make reference` writes this -->", "<!-- to here -->"
# An option of more commands than this is described once.
_FEW = 7
_MANY = "options-of-many-commands"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command as it is typed, ``up`` or ``db create``, in the order of the help."""
    for name in COMMANDS:
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from ((f"{name} {part}", one) for part, one in found.commands.items())
        else:
            yield name, found


def options(command: click.Command) -> list[click.Option]:
    """The options that ``--help`` shows."""
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


# The schema.


class Schemas:
    """The schemas of types, each class once, under ``$defs``."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type."""
        origin, parts = typing.get_origin(kind), typing.get_args(kind)
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        if origin is typing.Required:
            return self.of(parts[0])
        if origin is typing.Literal:
            return {"enum": list(parts)}
        if origin in (typing.Union, types.UnionType):
            return _either(self.of(one) for one in parts)
        if origin in (list, tuple):
            return {"type": "array", "items": self.of(parts[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(parts[1])}
        if isinstance(kind, EnumMeta):
            return {"enum": [one.value for one in kind]}
        if kind.__name__ not in self.defs:
            self.defs[kind.__name__] = {}
            self.defs[kind.__name__] = self.object(kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def object(self, kind: type) -> dict[str, Any]:
        """The schema of a TypedDict, or of a dataclass that is written as it is."""
        hints = typing.get_type_hints(kind, include_extras=True)
        whole = getattr(kind, "__total__", True)
        if dataclasses.is_dataclass(kind):
            hints = {one.name: hints[one.name] for one in dataclasses.fields(kind)}
        about = _attributes(kind)
        return {
            "description": inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0],
            "type": "object",
            "additionalProperties": False,
            "required": [
                name
                for name, one in hints.items()
                if whole or typing.get_origin(one) is typing.Required
            ],
            "properties": {
                name: self.of(one) | ({"description": about[name]} if name in about else {})
                for name, one in hints.items()
            },
        }


def _either(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Any of these: one list of words, one list of types, or ``anyOf``."""
    found = list(schemas)
    if all(one.keys() == {"enum"} for one in found):
        return {"enum": list(dict.fromkeys(word for one in found for word in one["enum"]))}
    if all(one.keys() == {"type"} for one in found):
        return {"type": [one["type"] for one in found]}
    return {"anyOf": [one for inner in found for one in inner.get("anyOf", [inner])]}


def _attributes(kind: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of the attributes."""
    found: dict[str, str] = {}
    for one in reversed(_bases(kind)):
        text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2]
        for names, about in re.findall(r"^    (\w[\w, ]*): ((?:.|\n {5,})+)", text, re.MULTILINE):
            words = " ".join(about.split()).replace("``", "`")
            found |= dict.fromkeys(names.split(", "), words)
    return found


def _bases(kind: type) -> list[type]:
    """The class and what it extends; a TypedDict forgets it, but for ``__orig_bases__``."""
    above = [one for one in getattr(kind, "__orig_bases__", ()) if isinstance(one, type)]
    return [kind, *(further for one in above for further in _bases(one))]


def schema() -> dict[str, Any]:
    """The schema of every document; that of a command is under its name in ``$defs``."""
    schemas = Schemas()
    named: dict[str, Any] = {}
    for name, kind in DOCUMENTS.items():
        found = schemas.object(kind)
        properties = {"command": {"const": name}, **found["properties"]}
        required = ["command", *found["required"]]
        named[name] = found | {"required": required, "properties": properties}
    named["usage"] = schemas.object(Refused)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What the commands of turnback print with --json",
        "description": "Keys may be added; none is taken away, or gets another meaning, in a "
        "release that does not say so.",
        "anyOf": [{"$ref": f"#/$defs/{name.replace(' ', '%20')}"} for name in named],
        "$defs": named | dict(sorted(schemas.defs.items())),
    }


# The pages.


def command_pages() -> str:
    """Each command: what it does, its options, an example."""
    shown = list(commands())
    counts = Counter(_key(one) for _, command in shown for one in options(command))
    often = {key for key, number in counts.items() if number > _FEW}
    parts = [_common(shown, often)]
    for name, command in shown:
        own = [one for one in options(command) if _key(one) not in often]
        also = [one for one in options(command) if one not in own]
        parts.append(_command(name, command, own, also))
    return "\n".join(parts)


def _common(shown: list[tuple[str, click.Command]], often: set[tuple[str, str]]) -> str:
    every = {_key(one): one for _, command in shown for one in options(command)}
    rows = [_row(every[key]) for key in every if key in often]
    return "\n".join(["### Options of many commands", "", *_HEAD, *rows, ""])


def _command(
    name: str, command: click.Command, own: list[click.Option], also: list[click.Option]
) -> str:
    context = click.Context(command, info_name=f"turnback {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"### {name}", "", _prose(command.help or ""), ""]
    lines += ["```text", f"turnback {name} {usage}".rstrip(), "```", ""]
    if own:
        lines += [*_HEAD, *(_row(one) for one in own), ""]
    if also:
        listed = ", ".join(f"`{max(one.opts, key=len)}`" for one in also)
        lines += [f"{'Also' if own else 'Takes'} {listed} [of many commands](#{_MANY}).", ""]
    if command.epilog:
        text = command.epilog.removeprefix("Example: ")
        lines += [f"Example: {_code_of(text)}", ""]
    if name in DOCUMENTS:
        lines += [f"With `--json`: [the document](json.md#{_anchor(name)}).", ""]
    return "\n".join(lines)


_HEAD = ["| option | | variable, default |", "|---|---|---|"]


def _row(option: click.Option) -> str:
    context = click.Context(click.Command("x"))
    extra = option.get_help_extra(context)
    default = extra.get("default", "").strip("()")
    words = [f"`{one}`" for one in extra.get("envvars", ())] + ([f"`{default}`"] if default else [])
    return f"| {_names(option)} | {_cell(option.help or '')} | {', '.join(words)} |"


# An option, and a command after the program's name.
_TYPED = re.compile(rf"(?<![\w`])(--[a-z][a-z-]*|-[a-z]\b|turnback (?:{'|'.join(COMMANDS)})\b)")


def _names(option: click.Option) -> str:
    context = click.Context(click.Command("x"))
    kind = option.make_metavar(context) if not option.is_flag else ""
    return ", ".join(f"`{one} {kind}`".replace(" `", "`") for one in option.opts).replace(
        "|", "\\|"
    )


def _key(option: click.Option) -> tuple[str, str]:
    """The same option in two commands has the same text."""
    return _names(option), option.help or ""


def _cell(text: str) -> str:
    """Text of the help: what is typed is code."""
    return _TYPED.sub(r"`\1`", text).replace("|", "\\|")


def _prose(text: str) -> str:
    """Help as Markdown: what click prints as it stands is code."""
    parts = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b\n"):
            body = part.removeprefix("\b\n")
            parts.append(f"```text\n{body}\n```" if "  " in body else _cell(body))
        else:
            parts.append(_cell(part))
    return "\n\n".join(parts)


def _code_of(text: str) -> str:
    return " or ".join(f"`{one}`" for one in re.split(r",? or (?=turnback )", text))


# What the page says of every document, and the words that any of them may end with.
_OF_ALL = {"command", "warnings", "error", "findings"}
_ENDS = set(typing.get_args(Unfinished))


def json_page() -> str:
    """Each document with its keys, and the objects in them."""
    whole = schema()
    lines = list[str]()
    for name, one in whole["$defs"].items():
        if name in DOCUMENTS:
            lines += [f"### {name}", "", *_keys(one, _OF_ALL)]
    lines += ["## Objects", ""]
    for name, one in whole["$defs"].items():
        if name not in DOCUMENTS and name != "usage":
            lines += [f"### {name}", "", one["description"], "", *_keys(one, set())]
    return "\n".join(lines)


def _keys(found: dict[str, Any], left_out: set[str]) -> list[str]:
    rows = [
        f"| `{name}` | {_kind(one)} | {one.get('description', '').replace('|', chr(92) + '|')} |"
        for name, one in found["properties"].items()
        if name not in left_out or "$defs/LintFinding" in str(one)
    ]
    return ["| key | | |", "|---|---|---|", *rows, ""]


def _kind(found: dict[str, Any]) -> str:
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "enum" in found:
        words = [
            one for one in found["enum"] if not set(found["enum"]) >= _ENDS or one not in _ENDS
        ]
        return ", ".join(f"`{one}`" for one in words)
    if "anyOf" in found:
        return " or ".join(_kind(one) for one in found["anyOf"])
    if found["type"] == "array":
        return f"list of {_kind(found['items'])}"
    if "additionalProperties" in found:
        return f"object: name to {_kind(found['additionalProperties'])}"
    names = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return " or ".join(names)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def between(text: str, part: str) -> str:
    """The page with this between its two comments."""
    head, _, rest = text.partition(BEGIN)
    assert rest, f"the page lacks {BEGIN}"
    return f"{head}{BEGIN}\n\n{part}\n{END}{rest.partition(END)[2]}"


def files() -> dict[Path, str]:
    """Every generated file and what is to be in it."""
    written = {
        FOLDER / name: between((FOLDER / name).read_text(), part)
        for name, part in (("cli.md", command_pages()), ("json.md", json_page()))
    }
    return written | {FOLDER / SCHEMA: json.dumps(schema(), indent=1) + "\n"}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
