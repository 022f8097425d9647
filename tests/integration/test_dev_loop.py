"""What somebody does who is writing a migration: down, redo, generate, and words of other tools."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from turnback.cli.main import cli
from turnback.local.scratch import scratch
from turnback.local.server import read_running
from turnback.migrations.checksums import compare
from turnback.migrations.discovery import load_project
from turnback.settings.windows import Window

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, Answer, fingerprint, query, tables, turnback

Command = Callable[..., Answer]


def table(number: int) -> dict[str, str]:
    """A migration that makes the table of this number, and its rollback script."""
    return {
        f"sql/{number:04}_t{number}.sql": f"CREATE TABLE t{number} (id int);\n",
        f"rollback/{number:04}_rollback.sql": f"DROP TABLE t{number};\n",
    }


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    """A project of three migrations."""
    return project_factory(table(1) | table(2) | table(3))


@pytest.fixture
def run(database: str, folder: Path) -> Command:
    """Runs a command on the project and the database of the test, where all are applied."""

    def command(*arguments: str) -> Answer:
        return turnback(*arguments, url=database, folder=folder)

    assert command("up").code == 0
    return command


def rolled_back(answer: Answer) -> list[str]:
    assert answer.code == 0, answer.err
    return [row["version"] for row in answer.document["rolled_back"]]


def test_down_without_a_version_rolls_back_the_last_migration(run: Command) -> None:
    assert rolled_back(run("down", "--yes", "--json")) == ["0003"]
    assert rolled_back(run("down", "--yes", "--json")) == ["0002"]
    assert rolled_back(run("down", "--yes", "--json")) == ["0001"]
    answer = run("down", "--yes", "--json")
    assert answer.document["status"] == "nothing_to_do"


@pytest.mark.parametrize(("number", "versions"), [("2", ["0003", "0002"]), ("9", None)])
def test_down_n_rolls_back_so_many_newest_first(
    run: Command, number: str, versions: list[str] | None
) -> None:
    assert rolled_back(run("down", "--yes", "-n", number, "--json")) == (
        versions or ["0003", "0002", "0001"]
    )


@pytest.mark.parametrize(
    "command",
    [["down"], ["down", "0"], ["down", "-n", "2", "--json"], ["redo"], ["redo", "--json"]],
)
def test_without_a_terminal_nothing_is_rolled_back_unless_yes_is_given(
    command: list[str], run: Command, database: str
) -> None:
    before = fingerprint(database)
    answer = run(*command)
    assert answer.code == 2
    said = answer.err + answer.out
    assert "this would roll back" in said and "0003" in said
    assert "confirm with --yes" in said
    assert fingerprint(database) == before
    assert run(*command, "--yes").code == 0
    assert fingerprint(database) != before


def test_down_with_nothing_to_roll_back_needs_no_yes(run: Command) -> None:
    assert run("down", "0003").out == "Nothing to do.\n"


def test_down_takes_the_last_that_is_applied_and_not_the_last_file(
    run: Command, folder: Path
) -> None:
    for path, text in table(4).items():
        (folder / path).write_text(text)
    assert rolled_back(run("down", "--yes", "--json")) == ["0003"]


def test_down_takes_a_version_or_a_number_and_not_both(run: Command, database: str) -> None:
    answer = run("down", "--yes", "0001", "-n", "2")
    assert answer.code == 2 and "exclude each other" in answer.err
    assert tables(database) >= {"t1", "t2", "t3"}


def test_down_undoes_a_half_done_migration_as_the_last_one(
    run: Command, folder: Path, database: str
) -> None:
    (folder / "sql/0004_half.sql").write_text(
        "CREATE INDEX CONCURRENTLY half ON t1 (id);\n"
        "CREATE INDEX CONCURRENTLY other ON t1 (no_such_column);\n"
    )
    (folder / "rollback/0004_rollback.sql").write_text(
        "DROP INDEX CONCURRENTLY other;\nDROP INDEX CONCURRENTLY half;\n"
    )
    assert run("up").code == 6
    assert rolled_back(run("down", "--yes", "--json")) == ["0004"]
    assert query(database, "SELECT to_regclass('half') IS NULL") == [(True,)]
    assert tables(database) >= {"t1", "t2", "t3"}


def test_redo_applies_the_edited_file(run: Command, folder: Path, database: str) -> None:
    (folder / "sql/0003_t3.sql").write_text("CREATE TABLE t3 (id int, name text);\n")
    answer = run("redo", "--yes", "--json")
    assert rolled_back(answer) == ["0003"]
    assert [row["version"] for row in answer.document["applied"]] == ["0003"]
    assert query(
        database,
        "SELECT attname FROM pg_attribute WHERE attrelid = 't3'::regclass AND attnum > 0",
    ) == [("id",), ("name",)]
    assert run("status", "--json").document["pending"] == 0


def test_redo_of_several_applies_the_same_ones_and_no_newer(run: Command, folder: Path) -> None:
    for path, text in table(4).items():
        (folder / path).write_text(text)
    answer = run("redo", "--yes", "-n", "2", "--json")
    assert rolled_back(answer) == ["0003", "0002"]
    assert [row["version"] for row in answer.document["applied"]] == ["0002", "0003"]


def test_redo_of_a_migration_whose_file_is_gone_changes_nothing(
    run: Command, folder: Path, database: str
) -> None:
    (folder / "sql/0003_t3.sql").unlink()
    (folder / "rollback/0003_rollback.sql").unlink()
    answer = run("redo", "--yes")
    assert answer.code == 3 and "cannot be applied again" in answer.err
    assert "t3" in tables(database)


def test_redo_with_an_older_pending_migration_changes_nothing(
    project_factory: ProjectFactory, database: str
) -> None:
    folder = project_factory(table(1) | table(3))
    assert turnback("up", url=database, folder=folder).code == 0
    for path, text in table(2).items():
        (folder / path).write_text(text)
    answer = turnback("redo", "--yes", "--json", url=database, folder=folder)
    assert answer.code == 3
    assert answer.document["error"]["type"] == "OutOfOrder"
    assert answer.document["rolled_back"] == [] and "t3" in tables(database)


@pytest.mark.parametrize("given", ["option", "turnback.toml"])
def test_up_waits_for_the_end_of_a_window_before_it_begins_a_migration(
    given: str,
    project_factory: ProjectFactory,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project_factory(table(1) | table(2))
    window = "01:00-03:00 Europe/Berlin"
    if given == "turnback.toml":
        (folder.parent / "turnback.toml").write_text(f'[run]\navoid = ["{window}"]\n')
    seen: list[tuple[list[str], set[str]]] = []

    def waits(windows: Sequence[Window], say: Callable[[str], None]) -> None:
        seen.append(([str(one) for one in windows], tables(database) & {"t1", "t2"}))
        say("waits")

    monkeypatch.setattr("turnback.cli.run.wait_for_end", waits)
    options = ["--avoid", window] if given == "option" else []
    command = ["up", "--dir", str(folder), "--database-url", database, *options]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert done.return_value == 0
    assert seen == [([window], set()), ([window], {"t1"})]
    assert "waits" in done.stderr
    refused = turnback("up", "--avoid", "1-3", url=database, folder=folder)
    assert (refused.code, "'1-3' is no window of time" in refused.err) == (2, True)


def test_redo_stops_where_the_rollback_fails(run: Command, folder: Path) -> None:
    (folder / "rollback/0003_rollback.sql").write_text("DROP TABLE no_such_table;\n")
    answer = run("redo", "--yes", "--json")
    assert answer.code == 1
    assert answer.document["error"]["type"] == "RollbackFailed"
    assert answer.document["applied"] == []


def test_redo_stops_where_the_rollback_has_dropped_more_than_its_migration(
    run: Command, folder: Path
) -> None:
    (folder / "rollback/0003_rollback.sql").write_text("DROP TABLE t3, t2;\n")
    answer = run("redo", "--yes", "--json")
    assert answer.code == 6
    assert answer.document["error"]["type"] == "VerificationFailed"
    assert "table public.t2 of 0002" in answer.document["error"]["message"]
    assert [row["version"] for row in answer.document["rolled_back"]] == ["0003"]
    assert answer.document["applied"] == []


@pytest.mark.parametrize("untouched", ["sql", "rollback"])
def test_an_untouched_file_of_generate_is_not_applied(
    run: Command, folder: Path, untouched: str
) -> None:
    made = run("generate", "four", "--json").document["files"]
    for path in made:
        if not path.startswith(untouched):
            with (folder / path).open("a") as file:
                file.write("SELECT 1;\n")
    answer = run("up", "--json")
    assert answer.code == 3
    error = answer.document["error"]
    assert error["type"] == "InvalidMigration"
    assert error["file"].startswith(untouched)
    assert "still the empty file of turnback generate" in error["message"]
    with (folder / error["file"]).open("a") as file:
        file.write("-- Nothing to do: the index is made by hand.\n")
    assert run("up").code == 0


@pytest.mark.parametrize("named", [False, True])
def test_up_records_the_checksums_of_what_it_applies(
    named: bool, project_factory: ProjectFactory, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CI", "CODEBUILD_BUILD_ID", "JENKINS_URL", "TF_BUILD"):
        monkeypatch.delenv(variable, raising=False)
    url, folder = database if named else None, project_factory({})
    assert turnback("init", folder=folder).code == 0
    assert turnback("generate", "users", folder=folder).code == 0
    before = (folder / "SHA256SUMS").read_text()
    for path, sql in (
        ("sql/0001_users", "CREATE TABLE u ()"),
        ("rollback/0001_rollback", "DROP TABLE u"),
    ):
        (folder / f"{path}.sql").write_text(f"{sql};\n")
    answer = turnback("up", "--dry-run", url=url, folder=folder)
    assert "SHA256SUMS" not in answer.err and (folder / "SHA256SUMS").read_text() == before
    answer = turnback("up", url=url, folder=folder)
    assert answer.code == 0
    assert "SHA256SUMS" not in answer.err
    assert compare(load_project(folder)) == []


def test_up_on_a_named_database_only_warns_of_a_checksum_in_a_ci_job(
    run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert run("check", "--fix").code == 0
    for path, text in table(4).items():
        (folder / path).write_text(text)
    before = (folder / "SHA256SUMS").read_text()
    answer = run("up")
    assert answer.code == 0 and "SHA256SUMS does not know this file" in answer.err
    assert (folder / "SHA256SUMS").read_text() == before


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("migrate", "turnback up"),
        ("rollback", "turnback down"),
        ("new", "turnback generate NAME"),
        ("info", "turnback status"),
        ("deploy", "turnback release ARTIFACT"),
    ],
)
def test_a_word_of_another_tool_is_answered_with_ours(word: str, ours: str) -> None:
    answer = turnback(word)
    assert answer.code == 2
    assert f"No such command '{word}'" in answer.err and ours in answer.err


# up --watch


class Watching:
    """A ``turnback up --watch`` on the embedded Postgres, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [str(PROGRAM), "up", "--watch", "--dir", str(folder)],
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.until("Ctrl-C ends it.")

    def until(self, part: str) -> str:
        """Read what it prints, up to a line with this part; the test's time limit is pytest's."""
        assert self._process.stdout
        said = ""
        for line in self._process.stdout:
            said += line
            if part in line:
                return said
        raise AssertionError(said)

    def save(self, path: str, text: str) -> None:
        """Save a file in one step, as an editor does."""
        new = self.folder / f"{path}.new"
        new.write_text(text)
        new.rename(self.folder / path)

    def end(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.communicate()
        return self._process.returncode


@pytest.fixture
def watching(project_factory: ProjectFactory) -> Iterator[Watching]:
    """Two applied migrations, watched."""
    with scratch("watch-test") as place:
        folder = place / "migrations"
        shutil.copytree(project_factory(table(1) | table(2)), folder)
        found = Watching(folder)
        try:
            yield found
        finally:
            found.end()


def test_a_saved_migration_is_applied_and_an_edited_one_is_applied_again(
    watching: Watching,
) -> None:
    watching.save("rollback/0003_rollback.sql", "DROP TABLE t3;\n")
    watching.save("sql/0003_t3.sql", "CREATE TABLE t3 (id int);\n")
    watching.until("1 migration applied.")
    # The rollback script of the new file would not undo the old one: the stored one is used.
    watching.save("rollback/0003_rollback.sql", "DROP TABLE other;\n")
    watching.save("sql/0003_t3.sql", "CREATE TABLE other (id int);\n")
    said = watching.until("1 migration applied.")
    assert "rolled back 0003" in said and "applied     0003" in said


def test_a_mistake_is_shown_and_the_next_save_tries_again(watching: Watching) -> None:
    watching.save("rollback/0003_rollback.sql", "DROP TABLE t3;\n")
    watching.save("sql/0003_t3.sql", "CREATE TABLE t3 (id itn);\n")
    assert 'type "itn" does not exist' in watching.until("hint:")
    watching.save("sql/0003_t3.sql", "CREATE TABLE t3 (id int);\n")
    watching.until("1 migration applied.")


def test_an_older_migration_is_not_applied_again_by_itself(watching: Watching) -> None:
    watching.save("sql/0001_t1.sql", "CREATE TABLE t1 (id bigint);\n")
    assert "turnback redo -n 2" in watching.until("hint:")


def test_ctrl_c_ends_the_watching_and_the_server(watching: Watching) -> None:
    assert watching.end() == 0
    assert read_running(watching.folder.parent / ".turnback" / "postgres" / "data") is None


def test_a_named_database_is_not_watched_without_a_terminal(run: Command) -> None:
    answer = run("up", "--watch")
    assert answer.code == 2 and "needs a terminal" in answer.err


@pytest.mark.parametrize("option", ["--dry-run", "--json", "--out-of-order"])
def test_watch_goes_with_no_other_choice(folder: Path, option: str) -> None:
    answer = turnback("up", "--watch", option, folder=folder)
    assert answer.code == 2 and "cannot be combined" in answer.err + answer.out
