"""What `--json` prints, held to docs/reference/commands.schema.json by jsonschema."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

SCHEMA = Path(__file__).resolve().parents[1] / "docs/reference/commands.schema.json"


@functools.cache
def _validator(command: str) -> Draft202012Validator:
    whole = json.loads(SCHEMA.read_text())
    assert command in whole["$defs"], f"{SCHEMA.name} has no {command}: make reference"
    one = whole | {"anyOf": [{"$ref": f"#/$defs/{command.replace(' ', '%20')}"}]}
    return Draft202012Validator(one, format_checker=FormatChecker())


def check(document: Mapping[str, Any]) -> None:
    """Hold the document of a command to its schema: every key, every status word.

    Raises:
        AssertionError: where it differs, and how; turnback.cli.documents is the schema's source.
    """
    # As it is printed: a tuple is a list there.
    printed = json.loads(json.dumps(document))
    command = printed.get("command") or "usage"
    [error] = [*_validator(command).iter_errors(printed), None][:1]
    if error is not None:
        inner = min(error.context or [error], key=lambda one: -len(one.path))
        place = ".".join(map(str, inner.absolute_path))
        raise AssertionError(f"{command} --json: {place or 'the document'}: {inner.message}")


def read(text: str) -> Any:
    """The document that a command in a process of its own has printed, held to its schema."""
    document = json.loads(text)
    if isinstance(document, dict):
        check(document)
    return document
