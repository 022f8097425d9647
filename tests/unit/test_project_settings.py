"""turnback.toml and .env: what they may say, and what has precedence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from turnback.cli.main import cli
from turnback.cli.output import SettingsError
from turnback.errors import ConfigurationError
from turnback.migrations.checksums import compare, format_sums
from turnback.migrations.discovery import load_project
from turnback.settings.env_file import read_env_file
from turnback.settings.ignore import Ignore
from turnback.settings.project import ProjectFile, without_addresses

from tests.conftest import ProjectFactory

FULL = """\
[database]
url = "postgresql://localhost/dev"

[history]
schema = "turnback"

[rehearsal]
shadow-url-variable = "SHADOW"

[lint.off]
TB101 = "every table is small"

[environments.staging]
url-variable = "STAGING_URL"
stack = "learning-staging"

[environments.production]
url-variable = "PRODUCTION_URL"
history-schema = "history"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one, without variables of turnback's."""
    for name in (
        "DATABASE_URL",
        "TURNBACK_ENV",
        "TURNBACK_DIR",
        "TURNBACK_STACK",
        "TURNBACK_HISTORY_SCHEMA",
        "TURNBACK_SHADOW_URL",
    ):
        monkeypatch.delenv(name, raising=False)
        # What .env sets is taken away afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> ProjectFile:
    (folder / "turnback.toml").write_text(text)
    return ProjectFile.read(folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


def config(*arguments: str) -> dict[str, Any]:
    """Name → value and where it comes from, as ``turnback config`` shows them."""
    done = run("config", "--json", *arguments)
    assert done.exception is None, done.output
    rows = json.loads(done.stdout)["settings"]
    return {row["name"]: (row["value"], row["from"]) for row in rows}


def test_without_a_file_there_are_no_settings(tmp_path: Path) -> None:
    file = ProjectFile.read(tmp_path)
    assert file.settings(None, {}) == {}
    assert file.path is None and file.lint_off == {} and file.environments == []


def test_a_value_knows_its_line_and_its_variable(tmp_path: Path) -> None:
    found = write(tmp_path, FULL).settings(None, {"SHADOW": "postgresql://shadow"})
    assert (found["database_url"].get(), found["database_url"].where) == (
        "postgresql://localhost/dev",
        "turnback.toml:2",
    )
    assert found["history_schema"].get() == "turnback"
    assert (found["shadow_url"].get(), found["shadow_url"].variable) == (
        "postgresql://shadow",
        "SHADOW",
    )


def test_an_environment_has_precedence_over_the_other_sections(tmp_path: Path) -> None:
    file = write(tmp_path, FULL)
    staging = file.settings("staging", {"STAGING_URL": "postgresql://staging"})
    assert staging["database_url"].get() == "postgresql://staging"
    assert staging["stack"].get() == "learning-staging"
    assert staging["history_schema"].get() == "turnback"
    assert file.settings("production", {})["history_schema"].get() == "history"


def test_a_variable_that_is_not_set_is_an_error_only_when_its_value_is_needed(
    tmp_path: Path,
) -> None:
    found = write(tmp_path, FULL).settings("staging", {})
    with pytest.raises(ConfigurationError, match=r"turnback\.toml:14: the environment"):
        found["database_url"].get()


@pytest.mark.parametrize(
    ("text", "message", "line", "hint"),
    [
        ('[database]\nulr = "a"\n', "unknown key 'ulr' in [database]", 2, "did you mean 'url'?"),
        ("[databse]\n", "unknown section 'databse'", 1, "did you mean 'database'?"),
        (
            '[environments.staging]\nhistory-scheme = "a"\n',
            "unknown key 'history-scheme' in [environments.staging]",
            2,
            "did you mean 'history-schema'?",
        ),
        ("[history]\nschema = 3\n", "schema is not a text", 2, 'write schema = "…"'),
        ('[history]\nschema = " "\n', "schema is not a text", 2, 'write schema = "…"'),
        ('[database]\nurl = "a"\nurl-variable = "B"\n', "are both set", 3, "remove one"),
        ('lint = "off"\n', "lint is not a section", 1, "write [lint]"),
        ('[lint.off]\nTB101 = ""\n', "TB101 has no reason", 2, 'write TB101 = "the reason"'),
        ('[lint.off]\nindex = "a"\n', "'index' is not a lint rule", 2, "write TB101, for example"),
        (
            '[lint]\noff = { TB1 = "a" }\n',
            "'TB1' is not a lint rule",
            2,
            "write TB101, for example",
        ),
        ('[database]\nurl = "a\n', "not valid TOML", 2, None),
        (f"a = {'9' * 5000}", "not valid TOML", 1, None),
        (f"a = {'[' * 5000}", "not valid TOML", 1, None),
        ('[layout]\nname = "turnbak"\n', "unknown layout 'turnbak'", 2, "mean 'turnback'?"),
        ('[layout]\nname = "oracle"\n', "unknown layout 'oracle'", 2, "possible: "),
        ('[layout]\nnames = "turnback"\n', "unknown key 'names' in [layout]", 2, "'name'"),
        ('[ignore]\nfiles = "a"\n', "files is not a list of texts", 2, 'write files = ["…"]'),
        ('[ignore]\nobjects = ["a"]\n', "'a' names no schema", 2, '"SCHEMA.a" or "*.a"'),
        ('[ignore]\nschema = ["a"]\n', "unknown key 'schema' in [ignore]", 2, "'schemas'"),
        ('[run]\navoid = "01:00-03:00"\n', "avoid is not a list of texts", 2, "avoid = ["),
        ('[run]\navoid = ["1-3"]\n', "'1-3' is no window of time", 2, "write 01:00-03:00"),
        ("[environments]\nstaging = 1\n", "environments.staging is not a section", 2, "write"),
    ],
)
def test_a_mistake_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str, line: int, hint: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        write(tmp_path, text)
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == ("turnback.toml", line)
    assert hint is None or hint in str(caught.value.hint)


def test_an_unknown_environment_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        write(tmp_path, FULL).settings("stagin", {})
    assert caught.value.hint == "did you mean 'staging'?"


def test_without_environments_of_its_own_a_project_has_those_of_the_policies() -> None:
    assert ProjectFile().settings("staging", {}) == {}
    with pytest.raises(ConfigurationError, match="no environment 'prod'") as caught:
        ProjectFile().settings("prod", {})
    assert "production" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("A = b # a comment", "b"),
        ("A='b # c'", "b # c"),
        (r'A="say \"b\""', 'say "b"'),
        ("A=postgresql://u:p#x@h/d", "postgresql://u:p#x@h/d"),
        ("A=", ""),
    ],
)
def test_an_env_file_has_an_assignment_a_line(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"# mine\n\n{line}\n")
    assert read_env_file(tmp_path).values == {"A": value}


def test_an_env_file_with_another_line_is_refused(folder: Path) -> None:
    (folder / ".env").write_text("A=b\nnonsense\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(folder)
    assert (caught.value.file, caught.value.line) == (".env", 2)


def test_a_file_that_is_not_utf_8_is_refused_in_words_and_a_byte_order_mark_is_skipped(
    folder: Path,
) -> None:
    for name, read in ((".env", read_env_file), ("turnback.toml", ProjectFile.read)):
        for data, words in (("A=b".encode("utf-16"), "it is UTF-16"), (b"\nA=\xff", "byte 0xff")):
            (folder / name).write_bytes(data)
            with pytest.raises(ConfigurationError, match=words) as caught:
                read(folder)
            assert (caught.value.file, caught.value.hint) == (name, "save it as UTF-8")
    (folder / ".env").write_bytes(b"\xef\xbb\xbfA=b")
    assert read_env_file(folder).values == {"A": "b"}


def test_a_virtual_environment_of_this_name_is_no_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert read_env_file(tmp_path).values == {}


# Option, variable, key of an environment, section and key of the file, and the default.
SOURCES = [
    ("database-url", "DATABASE_URL", "url", "database.url", "the embedded Postgres in .turnback/"),
    ("history-schema", "TURNBACK_HISTORY_SCHEMA", "history-schema", "history.schema", "public"),
    (
        *("shadow-url", "TURNBACK_SHADOW_URL", "shadow-url", "rehearsal.shadow-url"),
        "a temporary embedded Postgres",
    ),
    ("stack", "TURNBACK_STACK", "stack", None, "turnback"),
]
ADDRESSES = ("database-url", "shadow-url")


def test_the_table_of_sources_is_that_of_the_settings() -> None:
    assert {name for name, *_ in SOURCES} | {"dir"} == set(config("--dir", "x"))


@pytest.mark.parametrize(("name", "variable", "key", "place", "default"), SOURCES)
def test_an_option_then_a_variable_then_env_then_the_file_then_the_default_counts(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    variable: str,
    key: str,
    place: str | None,
    default: str,
) -> None:
    def given(value: str) -> str:
        return f"postgresql://localhost/{value}" if name in ADDRESSES else value

    def shown(value: str) -> str:
        return f"localhost:5432/{value}" if name in ADDRESSES else value

    monkeypatch.delenv(variable, raising=False)
    assert config()[name] == (default, "default")
    section, _, of_section = (place or "").partition(".")
    text = f'[{section}]\n{of_section} = "{given("section")}"\n' if place else "\n\n"
    write(folder, text + f'[environments.staging]\n{key} = "{given("environment")}"\n')
    expected = (shown("section"), "turnback.toml:2") if place else (default, "default")
    assert config()[name] == expected
    assert config("--env", "staging")[name] == (shown("environment"), "turnback.toml:4")
    (folder / ".env").write_text(f"\n{variable}={given('dotenv')}\n")
    monkeypatch.setenv(variable, "")
    monkeypatch.delenv(variable)
    assert config()[name] == (shown("dotenv"), f"{variable} in .env:2")
    monkeypatch.setenv(variable, given("variable"))
    assert config()[name] == (shown("variable"), variable)
    # --env names a value as well, so that neither of the two wins unnoticed.
    with pytest.raises(SettingsError, match=f"the variable {variable} name two"):
        raise run("config", "--env", "staging").exception or AssertionError
    option = (f"--{name}", given("option"))
    assert config(*option)[name] == (shown("option"), "option")


@pytest.mark.parametrize(
    ("name", "variable", "key", "place", "wrong", "words"),
    [
        (*SOURCES[0][:4], "nonsense", "the database's address cannot be read"),
        (*SOURCES[1][:4], "pg_x", "the schema pg_x belongs to PostgreSQL"),
        (*SOURCES[2][:4], "a b", "the database's address cannot be read"),
        (*SOURCES[3][:3], None, " ", "it is empty"),
    ],
)
def test_a_bad_value_is_refused_with_its_source(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    variable: str,
    key: str,
    place: str | None,
    wrong: str,
    words: str,
) -> None:
    def refusal(*arguments: str) -> str:
        error = run("config", *arguments).exception
        assert isinstance(error, click.ClickException) and error.exit_code == 2
        return error.format_message()

    monkeypatch.delenv(variable, raising=False)
    assert words in refusal(f"--{name}", wrong)
    section, _, of_section = (place or "").partition(".")
    if place:
        write(folder, f'[{section}]\n{of_section} = "{wrong}"\n')
        assert words in refusal() and "(turnback.toml:2)" in refusal()
        write(folder, f'[environments.a]\n\n{key} = "{wrong}"\n')
        assert "(turnback.toml:3)" in refusal("--env", "a")
        (folder / "turnback.toml").unlink()
    (folder / ".env").write_text(f"{variable}='{wrong}'\n")
    monkeypatch.setenv(variable, "")
    monkeypatch.delenv(variable)
    found = refusal()
    assert words in found and f"({variable} in .env:1)" in found
    monkeypatch.setenv(variable, wrong)
    found = refusal()
    assert words in found and f"({variable})" in found


def test_the_env_file_of_the_current_folder_is_read_else_the_one_beside_turnback_toml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "app/migrations").mkdir(parents=True)
    (folder / "app/migrations/.env").write_text("TURNBACK_STACK=inside\n")
    for place, found in (("app", "app/.env:1"), (".", ".env:1")):
        (folder / place / ".env").write_text(f"TURNBACK_STACK={place}\n")
        monkeypatch.setenv("TURNBACK_STACK", "")
        monkeypatch.delenv("TURNBACK_STACK")
        stack = config("--dir", "app/migrations")["stack"]
        assert stack == (place, f"TURNBACK_STACK in {found}")


def test_the_env_file_can_be_left_out(folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=postgresql://localhost/dotenv\n")
    assert config("--no-env-file")["database-url"][1] == "default"


def test_the_password_of_an_address_is_not_shown(folder: Path) -> None:
    write(folder, '[database]\nurl = "postgresql://u:secret@localhost/dev"\n')
    done = run("config")
    assert "secret" not in done.output and "localhost:5432/dev" in done.output


def test_an_environment_is_chosen_by_option_or_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, FULL)
    monkeypatch.setenv("STAGING_URL", "postgresql://staging/a")
    assert config("--env", "staging")["database-url"] == (
        "staging:5432/a",
        "turnback.toml:14, STAGING_URL",
    )
    assert config("--env", "staging")["stack"] == ("learning-staging", "turnback.toml:15")
    monkeypatch.setenv("TURNBACK_ENV", "production")
    assert config()["database-url"] == (
        "the variable PRODUCTION_URL is not set",
        "turnback.toml:18",
    )


def test_an_environment_and_a_variable_with_another_database_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, FULL)
    monkeypatch.setenv("STAGING_URL", "postgresql://staging/a")
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/dev")
    done = run("status", "--env", "staging")
    assert isinstance(done.exception, SettingsError)
    assert "DATABASE_URL name two different things" in str(done.exception)


def test_a_chosen_environment_has_precedence_over_the_env_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, FULL)
    (folder / ".env").write_text("DATABASE_URL=postgresql://localhost/dotenv\n")
    monkeypatch.setenv("STAGING_URL", "postgresql://staging/a")
    assert config("--env", "staging")["database-url"][0] == "staging:5432/a"


def test_a_command_that_needs_a_missing_variable_is_refused_before_it_uses_another_database(
    folder: Path,
) -> None:
    write(folder, FULL)
    done = run("up", "--env", "production")
    assert isinstance(done.exception, SettingsError)
    assert done.exception.exit_code == 2
    assert "PRODUCTION_URL is not set" in str(done.exception)


def test_the_file_is_the_one_beside_the_folder_of_the_migrations(folder: Path) -> None:
    (folder / "app").mkdir()
    write(folder / "app", '[history]\nschema = "of_app"\n')
    assert config("--dir", "app/migrations")["history-schema"][0] == "of_app"
    assert config()["history-schema"][0] == "public"


def test_the_env_file_is_named_on_stderr_and_not_with_json(folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=postgresql://localhost/a\nOTHER=b\n")
    assert run("config").stderr == "Read from .env: DATABASE_URL\n"


def test_lint_knows_the_version_of_the_target_by_option_variable_or_file(
    monkeypatch: pytest.MonkeyPatch, project_factory: ProjectFactory
) -> None:
    written = {"sql/0001_t.sql": "CREATE TABLE t (a int CHECK (a > 0) NOT ENFORCED);"}
    at = project_factory(written, sums=False)
    (at.parent / "turnback.toml").write_text('[lint]\npg-version = "15"\n')

    def found(*arguments: str) -> bool:
        return "TB703" in run("lint", "--dir", str(at), *arguments).output

    assert found()
    assert not found("--pg-version", "18")
    monkeypatch.setenv("TURNBACK_PG_VERSION", "18.6")
    assert not found()
    assert found("--pg-version", "17.2")
    with pytest.raises(click.UsageError, match="not a version of PostgreSQL"):
        CliRunner().invoke(
            cli, ["lint", "--pg-version", "newest"], standalone_mode=False, catch_exceptions=False
        )


def test_a_lint_rule_is_turned_off_with_a_reason(folder: Path) -> None:
    for name, text in (
        ("sql/0001_a.sql", "CREATE INDEX a ON b (c);\n"),
        ("rollback/0001_rollback.sql", "DROP INDEX a;\n"),
    ):
        path = folder / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rules = {row["id"] for row in json.loads(run("lint", "--json").stdout)["findings"]}
    assert rules
    write(folder, "[lint.off]\n" + "".join(f'{rule} = "small"\n' for rule in sorted(rules)))
    document = json.loads(run("lint", "--json").stdout)
    assert document["findings"] == [] and len(document["waived"]) >= len(rules)


@pytest.mark.parametrize(("rule", "message"), [("TB999", "no rule TB999"), ("TB903", "cannot be")])
def test_a_rule_that_cannot_be_turned_off_is_refused(folder: Path, rule: str, message: str) -> None:
    (folder / "migrations" / "sql").mkdir(parents=True)
    write(folder, f'[lint.off]\n{rule} = "small"\n')
    done = run("lint")
    assert done.return_value == 2 and message in done.stderr


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("sql/seed.sql", "sql/seed.sql", True),
        ("sql/*.sql", "sql/0001_a.sql", True),
        ("sql/*.sql", "sql/old/0001_a.sql", False),
        ("sql/**", "sql/old/0001_a.sql", True),
        ("**/seed.sql", "seed.sql", True),
        ("**/seed.sql", "sql/old/seed.sql", True),
        ("sql/000?_*", "sql/0001_a.sql", True),
        ("sql/a.sql", "sql/axsql", False),
    ],
)
def test_a_file_is_left_out_by_a_pattern(pattern: str, path: str, left_out: bool) -> None:
    assert Ignore(files=(pattern,)).has_file(path) is left_out


def test_files_that_are_left_out_are_neither_run_nor_checked_and_are_named(
    project_factory: ProjectFactory,
) -> None:
    files = {"sql/0001_a.sql": "SELECT 1;\n", "sql/seed.sql": "x", "sql/old/0009_b.sql": "x"}
    directory = project_factory(files)
    assert run("check", "--dir", str(directory)).return_value == 3
    write(directory.parent, '[ignore]\nfiles = ["sql/seed.sql", "sql/old/**"]\n')
    project = load_project(directory)
    assert [migration.version for migration in project.migrations] == ["0001"]
    assert project.ignored == ("sql/old/0009_b.sql", "sql/seed.sql")
    (directory / "SHA256SUMS").write_text(format_sums({"sql/seed.sql": "0" * 64}))
    [_, error] = compare(load_project(directory))
    assert (
        error.message == "SHA256SUMS names this file, but [ignore] in turnback.toml leaves it out"
    )
    (directory / "sql/0001_a.sql").write_text("-- turnback: irreversible because x\nSELECT 1;\n")
    done = run("check", "--fix", "--dir", str(directory))
    assert done.return_value == 0, done.output
    assert "sql/seed.sql is left out by [ignore] in turnback.toml" in done.stderr


def test_config_shows_what_is_left_out(folder: Path) -> None:
    write(folder, '[ignore]\nschemas = ["cron"]\nobjects = ["public.log_*"]\n')
    shown = run("config").output
    assert "ignored schemas: cron\n" in shown and "ignored objects: public.log_*\n" in shown


def test_addresses_are_removed_from_the_file_of_an_artifact_and_no_line_moves() -> None:
    text = FULL + '\n[ignore]\nfiles = [\n  "a",\n]\n'
    left = ProjectFile.parse(without_addresses(text.encode()), Path("turnback.toml"))
    whole = ProjectFile.parse(text.encode(), Path("turnback.toml"))
    assert left.addresses == [] and len(whole.addresses) == 4
    assert left.lint_off == whole.lint_off and left.ignore == whole.ignore
    for stack in ("", "learning-staging"):
        assert left.history_schema(stack) == whole.history_schema(stack)
    assert "postgresql" not in without_addresses(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        'database = { url = "a" }\n',
        '[environments]\nstaging = { url = "a", stack = "b" }\n',
        '[database]\nurl = """\na"""\n',
    ],
)
def test_an_address_that_cannot_be_removed_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be removed") as caught:
        without_addresses(text.encode())
    assert "a line of its own" in str(caught.value.hint)
