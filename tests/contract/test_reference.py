"""docs/reference is what the code says: the commands, their JSON, the schema."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from turnback.cli.documents import DOCUMENTS

from tests.contract.test_cli import LEAVES
from tests.documents import SCHEMA, check

ROOT = Path(__file__).resolve().parents[2]
GENERATED = runpy.run_path(str(ROOT / "docs/reference/generate.py"))["files"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_what_is_generated_is_as_the_code_has_it(path: Path) -> None:
    assert path.read_text() == GENERATED[path], "run `make reference`"


def test_every_command_with_json_has_a_schema() -> None:
    assert set(DOCUMENTS) == set(LEAVES) - {"demo", "db psql"}


def test_the_schema_is_one_and_each_of_its_objects_refuses_a_key_it_does_not_know() -> None:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    whole = Draft202012Validator(schema)
    init = {"command": "init", "status": "succeeded", "made": ["migrations/sql"]}
    assert whole.is_valid(init)
    assert not whole.is_valid(init | {"status": "made"})
    assert not whole.is_valid(init | {"mode": 1})
    for name, one in schema["$defs"].items():
        assert one["additionalProperties"] is False, name


def test_a_document_with_another_word_or_key_is_told_by_its_place() -> None:
    with pytest.raises(AssertionError, match=r"status --json: migrations.0: .*'age'"):
        check(
            {
                "command": "status",
                "status": "succeeded",
                "migrations": [
                    {
                        **dict.fromkeys(("version", "name", "checksum"), "1"),
                        **dict.fromkeys(("applied_at", "execution_ms")),
                        "status": "applied",
                        "kind": "migration",
                        "age": 1,
                    }
                ],
            }
        )


def test_each_object_of_the_page_is_linked_from_where_it_is_used() -> None:
    page = (ROOT / "docs/reference/json.md").read_text()
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^###? (.+)", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= titles
