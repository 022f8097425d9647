"""``turnback explain``: the pages of the rules, what errors mean; in a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from turnback import errors
from turnback.cli.main import cli
from turnback.errors import RollbackMissing
from turnback.sql.lint.model import RULES

PAGES = Path(__file__).resolve().parents[2] / "docs/rules"
PROGRAM = Path(sys.executable).with_name("turnback")


def explain(*arguments: str) -> Result:
    """What the command prints where stdout is no terminal."""
    return CliRunner().invoke(cli, ["explain", *arguments], standalone_mode=False)


@pytest.mark.parametrize("topic", ["TB106", "tb106", "type-change-rewrites"])
def test_a_rule_is_explained_by_its_page_as_it_is_written(topic: str) -> None:
    assert explain(topic).stdout == (PAGES / "TB106.md").read_text()


def test_without_a_topic_every_rule_is_a_line() -> None:
    done = explain()
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(RULES)
    rules = json.loads(explain("--json").stdout)["rules"]
    assert [(rule["id"], rule["title"]) for rule in rules] == [
        (rule.id, rule.title) for rule in RULES.values()
    ]


@pytest.mark.parametrize("topic", ["RollbackMissing", "rollbackmissing"])
def test_an_error_is_explained_by_what_it_says_and_its_exit_code(topic: str) -> None:
    said = explain(topic).stdout
    assert said.startswith(f"# RollbackMissing\n\n{RollbackMissing().message}\n\n")
    assert "irreversible because REASON" in said and "\nExit code: 3 " in said
    document = json.loads(explain(topic, "--json").stdout)
    assert (document["name"], document["exit_code"]) == ("RollbackMissing", 3)


def test_every_error_is_explained() -> None:
    # The tree of the errors, in the docstring of their module.
    names = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert len(names) > 30
    for name in names:
        said = explain(name).stdout
        assert said.startswith(f"# {name}\n\n{vars(errors)[name].__doc__}\n"), name


@pytest.mark.parametrize(
    ("topic", "near"),
    [
        ("TB1066", "TB106"),
        ("typechange-rewrites", "type-change-rewrites"),
        ("RolbackMissing", "RollbackMissing"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest(topic: str, near: str) -> None:
    done = explain(topic)
    assert (done.return_value, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: there is no rule and no error {topic}\n"
        f"  hint: did you mean {near}? turnback explain lists the rules\n"
    )
    assert json.loads(explain(topic, "--json").stdout)["status"] == "refused"


@pytest.mark.skipif(os.name != "posix", reason="closes a stream by the shell")
def test_a_page_for_a_closed_stdout_ends_in_silence() -> None:
    command = ["sh", "-c", '"$0" explain TB901 >&-', PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def on_terminal(**variables: str) -> str:
    """The page of a rule on a terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "90", **variables}
    subprocess.run([PROGRAM, "explain", "TB901"], stdout=slave, env=environment, check=True)
    os.close(slave)
    said = os.read(master, 65536).decode()
    os.close(master)
    return said


def test_on_a_terminal_the_page_has_no_marks_of_markdown_and_colours_only_if_they_are_wanted() -> (
    None
):
    shown, plain = on_terminal(), on_terminal(NO_COLOR="1")
    assert "TB901: a file that cannot be read" in shown and "turnback check says" in plain
    for mark in ("# ", "`", "```", "**"):
        assert mark not in shown + plain
    assert "\x1b[" in shown
    assert "\x1b" not in plain
