"""The command line's promises: every command explains itself, every error has its exit code."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from turnback import errors
from turnback.cli.main import COMMANDS, cli
from turnback.errors import TurnbackError

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs/reference/cli.md").read_text()
CODES = {1, 2, 3, 4, 5, 6}


def command(name: str) -> click.Command:
    """The command that is typed so: ``up``, or ``db create``."""
    found: click.Command | None = cli
    for part in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), part)
    assert found is not None
    return found


def leaves() -> list[str]:
    """Every command that does something: a group is there as each of its commands."""
    found = list[str]()
    for name in COMMANDS:
        group = command(name)
        parts = group.commands if isinstance(group, click.Group) else ()
        found += [f"{name} {part}" for part in parts] or [name]
    return found


LEAVES = leaves()


def every_error() -> list[type[TurnbackError]]:
    """Every class of errors.py but the root."""
    classes = vars(errors).values()
    return [
        item
        for item in classes
        if inspect.isclass(item) and issubclass(item, TurnbackError) and item is not TurnbackError
    ]


ERRORS = every_error()


@pytest.mark.parametrize("name", LEAVES)
def test_a_command_is_called_by_its_name_and_says_what_it_does(name: str) -> None:
    found = command(name)
    assert found.name == name.split()[-1]
    assert found.help
    first = found.help.splitlines()[0]
    assert first.endswith(".")
    assert first[0].isupper()


def test_the_help_lists_every_command_with_a_sentence_of_one_line_and_imports_none() -> None:
    program = (
        "import sys\n"
        "from turnback.cli.main import COMMANDS, cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "print('imported', *sorted({module for module, _ in COMMANDS.values()} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "imported"
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", done.stdout, re.MULTILINE)
        assert summary[0].isupper() and summary.endswith(".")


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command imports, of turnback and of others."""
    program = (
        "import sys, turnback.cli.main as main\n"
        "main._leave = lambda code: print('modules', *sys.modules)\n"
        "main.main()"
    )
    command = [sys.executable, "-I", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    modules = done.stdout.splitlines()[-1].split()
    assert modules[0] == "modules", done.stderr
    return {name for name in modules[1:] if name.partition(".")[0] not in NOT_COUNTED}


# Python's own, and what an environment or a compiled module adds by itself.
NOT_COUNTED = {*sys.stdlib_module_names, "__main__", "_distutils_hack", "cython_runtime"}


def test_the_version_is_printed_with_no_more_imported_than_that_takes() -> None:
    """What it takes is measured by bench/apply.py."""
    modules = imported_by("--version")
    assert {name for name in modules if name.startswith("turnback")} == {
        *("turnback", "turnback.cli", "turnback.cli.main", "turnback.cli.output"),
        *("turnback.errors", "turnback.wording"),
    }
    assert {name.partition(".")[0] for name in modules} == {"turnback", "click"}


def test_status_imports_no_more_than_the_engine_needs() -> None:
    """No server answers at the address, which is found out after everything is imported."""
    address = "postgresql://127.0.0.1:9/x"
    modules = imported_by("status", "--database-url", address, "--dir", str(ROOT / "migrations"))
    others = {name.partition(".")[0] for name in modules} - {"turnback"}
    others -= {name for name in others if name.startswith(("_cython", "_sysconfigdata"))}
    assert others <= {"click", "psycopg", "psycopg_binary", "typing_extensions"}
    packages = {name.split(".")[1] for name in modules if name.startswith("turnback.")}
    assert packages == {"cli", "engine", "errors", "migrations", "settings", "sql", "wording"}


@pytest.mark.parametrize("module", ["history", "run", "locks", "check"])
def test_a_command_that_draws_nothing_and_needs_no_aws_imports_neither(module: str) -> None:
    program = (
        f"import sys, turnback.cli.{module}\n"
        "print(sorted({'rich', 'boto3', 'jinja2', 'slack_sdk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", LEAVES)
def test_a_command_shows_an_example_of_itself(name: str) -> None:
    epilog = command(name).epilog or ""
    assert epilog.startswith("Example: ")
    assert f"turnback {name}" in epilog


@pytest.mark.parametrize("name", LEAVES)
def test_the_example_of_a_command_uses_only_options_that_it_has(name: str) -> None:
    found = command(name)
    known = {option for parameter in found.params for option in parameter.opts}
    used = set(re.findall(r"(?<!\S)--[a-z-]+", found.epilog or ""))
    assert used <= known


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_of_a_command_says_what_it_is_for(name: str) -> None:
    for parameter in command(name).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", LEAVES)
def test_a_command_is_in_the_reference(name: str) -> None:
    row = re.search(rf"^\| .*`{name}\b", REFERENCE, re.MULTILINE)
    assert row, f"docs/reference/cli.md has no row for {name}"


def test_the_reference_names_no_command_that_is_not_there() -> None:
    section = REFERENCE.partition("## Commands")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z]+)", section, re.MULTILINE))
    assert named <= set(COMMANDS)
    assert named


@pytest.mark.parametrize("name", LEAVES)
def test_whoever_prints_a_result_can_print_it_as_json(name: str) -> None:
    options = {option for parameter in command(name).params for option in parameter.opts}
    assert "--json" in options or name in ("demo", "db psql")


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_in_its_docstring_what_happened(error: type[TurnbackError]) -> None:
    assert "__doc__" in vars(error)
    sentence = (error.__doc__ or "").splitlines()[0]
    assert sentence.endswith(".")


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_has_an_exit_code_of_the_contract(error: type[TurnbackError]) -> None:
    assert error.exit_code in CODES


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_stands_in_the_tree_with_its_exit_code_under_its_parent(
    error: type[TurnbackError],
) -> None:
    lines = (errors.__doc__ or "").splitlines()
    [row] = [line for line in lines if re.search(rf"[├└]── {error.__name__}\s", line)]
    shown = re.search(rf"{error.__name__}\s+(\d)\s+\S", row)
    assert shown, row
    assert int(shown[1]) == error.exit_code

    depth = row.index("──")
    above = lines[: lines.index(row)]
    parent = next(
        line for line in reversed(above) if re.search(r"\w", line) and column_of(line) < depth
    )
    assert re.findall(r"\w+", parent)[0] == error.__bases__[0].__name__


def column_of(line: str) -> int:
    """Where the name in a line of the tree begins, less the three characters of its branch."""
    found = re.search(r"\w", line)
    assert found is not None
    return found.start() - 3


def test_the_tree_names_no_error_that_is_not_there() -> None:
    named = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert named == {error.__name__ for error in ERRORS}


@pytest.mark.parametrize("code", sorted(CODES | {0}))
def test_every_exit_code_is_in_the_help_and_in_the_reference(code: int) -> None:
    assert re.search(rf"\b{code} \w+", (cli.help or "").partition("Exit codes:")[2])
    section = REFERENCE.partition("## Exit codes")[2]
    assert re.search(rf"^\| {code} \| \S", section, re.MULTILINE)
