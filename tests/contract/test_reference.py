"""The reference is what the code says: commands, JSON, states, keys in the bucket, parameters."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from turnback.cli.documents import DOCUMENTS
from turnback.local.deploy import read_template

from tests.aws_calls import kept
from tests.contract.test_cli import LEAVES, command
from tests.documents import SCHEMA, check
from tests.examples.page import unmarked

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


def test_a_document_with_another_word_or_key_is_refused_with_its_place() -> None:
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


def test_the_document_that_the_page_shows_is_as_the_schema_says() -> None:
    page = (ROOT / "docs/reference/json.md").read_text()
    check(json.loads(page.partition("```json\n")[2].partition("```")[0]))


def test_each_object_of_the_page_is_linked_from_where_it_is_used() -> None:
    page = (ROOT / "docs/reference/json.md").read_text()
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^###? (.+)", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= titles


def table_of(page: str, heading: str) -> str:
    """The rows below a heading."""
    below = (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", below, re.MULTILINE)
    assert rows, heading
    return "\n".join(rows)


def test_every_state_is_described() -> None:
    machine = json.loads((ROOT / "statemachine/release.asl.json").read_text())
    named = re.findall(r"`(\w+)(…?)`", table_of("docs/reference/aws.md", "States"))
    whole = {name for name, more in named if not more}
    begins = tuple(name for name, more in named if more)
    assert [s for s in machine["States"] if s not in whole and not s.startswith(begins)] == []
    assert whole <= {*machine["States"], "BaseChanged", "ReleaseTooOld", *NOT_STATES}


# What the table of the states names besides: a status, and parameters of the stack.
NOT_STATES = {"Rehearse", "LongestWaitHours", "superseded", "nothing_to_do"}


def test_every_key_that_a_function_writes_to_the_bucket_is_described() -> None:
    """The calls are those that the tests of integration saw."""
    rows = re.findall(r"^\| (`.*?) \|", table_of("docs/reference/aws.md", "In the bucket"), re.M)
    keys = set[str]()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        folder = first.rpartition("/")[0]
        keys |= {first, *(one if "/" in one else f"{folder}/{one}" for one in others)}
    patterns = [
        re.sub(r"\\?<[a-z]+\\?>", "[^/]+", re.escape(key)).replace("…", ".+") for key in keys
    ]
    written = {
        dict(of)["Key"]
        for _, operation, of in kept()
        if operation in ("s3.PutObject", "s3.CreateMultipartUpload")
    }
    assert len(written) > 15
    assert [key for key in written if not any(re.fullmatch(one, key) for one in patterns)] == []


def test_every_parameter_of_the_stack_is_described() -> None:
    page = (ROOT / "docs/aws.md").read_text()
    parameters = read_template(ROOT / "template.yaml")["Parameters"]
    assert [name for name in parameters if f"`{name}`" not in page] == []


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    """tests/examples runs them: ``console``, or a comment before it, `<!-- example: … -->`."""
    pages = (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/reference/*.md"))
    found = {page.name: lines for page in pages if (lines := unmarked(page.read_text()))}
    assert found == {}


def test_every_command_in_a_block_is_one_with_options_that_it_has() -> None:
    """Those that can run here are run by tests/examples."""
    known = {name: {o for p in command(name).params for o in p.opts} for name in LEAVES}
    wrong, found = [], 0
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for block in re.findall(
            r"^ *```(?:sh|console)\n(.*?)^ *```$", page.read_text(), re.M | re.S
        ):
            for typed in re.findall(r"^ *(?:\$ )?(?:\S*/)?turnback (.+)", block, re.M):
                words = shlex.split(re.split(r" (?:&&|[|>;]) ", typed)[0], comments=True)
                name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), "")
                given = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)}
                found += 1
                if not name or not given <= known[name] | {"--"}:
                    wrong.append(f"{page.name}: turnback {typed}")
    assert found > 40
    assert wrong == []
