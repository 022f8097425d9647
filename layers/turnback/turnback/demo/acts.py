"""The acts of the demo: a release that succeeds, one that is refused, one that is turned back.

Each raises CheckFailed when something is not as it should be.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from turnback.cli.output import count
from turnback.demo.stage import Stage, Standing
from turnback.demo.ways_in import command, pipeline_stage
from turnback.errors import CheckFailed

if TYPE_CHECKING:
    from turnback.demo.next_release import NewRelease

# Lines of a difference that must not be.
SHOWN = 40


def first_release(stage: Stage) -> None:
    """Release 1.0.0 by a pipeline of two stages, and see that all of it is applied."""
    migrations = stage.root / "migrations"
    stage.story.step("Release 1.0.0, by a pipeline: the example project in migrations/")
    rehearsed = pipeline_stage(stage, "Rehearse", "rehearse", migrations, "1.0.0")
    stage.expect(rehearsed.kind == "success", "The pipeline goes on to its next stage")
    stage.told("succeeded")
    answer = pipeline_stage(stage, "Migrate", "migrate", migrations, "1.0.0")
    stage.expect(answer.kind == "success", "The pipeline has succeeded")
    last = stage.told("succeeded")
    words = stage.words(migrations)
    stage.expect(
        set(words.values()) == {"applied"}, f"All {count(len(words), 'migration')} are applied"
    )
    newest = max(words, key=int)
    stage.expect(
        answer.variables["schema_version"] == newest,
        f"Later stages can read that it is at {newest}",
    )
    stage.message(last["run"], ["1.0.0 succeeded"])
    stage.story.done("succeeded")


def application(stage: Stage) -> None:
    """Let the application write rows: no rehearsal on an empty database knows them."""
    from turnback.demo.next_release import ROWS
    from turnback.local.database import run_sql

    stage.story.step("The application writes rows; two authors choose the same title")
    run_sql(stage.server, stage.database.name, ROWS)
    stage.story.done()


def unproven_release(stage: Stage) -> None:
    """Release 1.1.0 from the terminal, and see it refused before anything is touched."""
    from turnback.demo.next_release import FORGOTTEN, write_release

    stage.story.step(
        "Release 1.1.0, from the terminal: three more migrations; a rollback forgets an index"
    )
    release = write_release(
        stage.root / "migrations", stage.folder / "migrations-1.1.0", mended=False
    )
    before = stage.standing()
    code = command(stage, "release", str(release.folder), "--release", "1.1.0", "--watch")
    stage.expect(code == CheckFailed.exit_code, f"It leaves with the exit code {code}")
    last = _turned_back(stage, before, release, "refused")
    found = last["error"]["message"].splitlines()[-1].removeprefix("- ")
    stage.expect(last["snapshot"] is None, "Not even a snapshot was taken")
    stage.expect(
        last["error"]["file"] == release.second_rollback and FORGOTTEN in found,
        f"The status says what {release.second_rollback} forgets: {found}",
    )
    stage.message(last["run"], ["1.1.0 was refused", FORGOTTEN])
    stage.story.done("refused")


def failing_release(stage: Stage) -> None:
    """Release 1.2.0 by the pipeline, see it fail, its rollback fail, the snapshot restored."""
    from turnback.demo.next_release import write_release
    from turnback.demo.sign_ups import SignUps

    stage.story.step(
        "Release 1.2.0, by the pipeline: that rollback is mended. After two migrations, the third "
        "fails on the real rows; so does the rollback of the second. Meanwhile people sign up"
    )
    release = write_release(
        stage.root / "migrations", stage.folder / "migrations-1.2.0", mended=True
    )
    before = stage.standing()
    with SignUps(stage.server, stage.database.name) as application:
        answer = pipeline_stage(stage, "Migrate", "migrate", release.folder, "1.2.0")
        written = application.written()
    where = f"{release.file}:{release.line}"
    stage.expect(answer.kind == "failure" and where in answer.text, f"The stage names {where}")
    last = _turned_back(stage, before, release, "restored")
    rollback = last["rollback_error"]
    stage.expect(
        rollback["file"].startswith(release.second_rollback),
        f"The status says where its rollback failed: {rollback['file']}:{rollback['line']}",
    )
    _expect_counted(stage, last, written)
    message = stage.message(last["run"], ["1.2.0 failed and was restored", where])
    stage.story.say("that message, after everything that happened:")
    stage.show(message)
    stage.story.done("restored")


def _expect_counted(stage: Stage, last: dict[str, Any], written: dict[str, int]) -> None:
    """See that what the application wrote is lost as it was told, and still to be had."""
    from turnback.local.database import rows_of, run_sql

    told = {row["name"]: row["inserted"] for row in last["loss"]["tables"]}
    lost = sum(written.values())
    stage.expect(
        all(told.get(table) == rows for table, rows in written.items()),
        f"Before the yes it was told that the {lost} rows written since the snapshot are lost",
    )
    kept = last["restore"]["kept"]
    # Closed after the swap, so that nothing writes into it by mistake.
    run_sql(stage.server, "postgres", f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true')
    there = {table: int(rows.split()[0]) for table, rows in rows_of(stage.server, kept).items()}
    here = {table: int(rows.split()[0]) for table, rows in stage.standing().rows.items()}
    stage.expect(
        all(there[table] - here.get(table, 0) == rows for table, rows in written.items()),
        f"They are still to be had, in the database as it failed: {kept}",
    )


def _turned_back(stage: Stage, before: Standing, release: NewRelease, word: str) -> dict[str, Any]:
    """See that the run ended so, and that the database is as before; returns the last status."""
    after = stage.standing()
    words = stage.words(release.folder)
    last = stage.told(word)
    left = [version for version in release.versions if words[version] == "applied"]
    stage.expect(not left, "None of its three migrations is applied")
    _expect_same(stage, before, after, word)
    return last


def _expect_same(stage: Stage, before: Standing, after: Standing, word: str) -> None:
    from turnback.local.database import reread

    restored = word == "restored"
    expected = reread(stage.server, before.schema) if restored else before.schema
    changed = list(unified_diff(expected.splitlines(), after.schema.splitlines(), n=1))
    for line in changed[:SHOWN]:
        stage.story.say(line.rstrip())
    how = "as PostgreSQL writes it after a restore" if restored else "byte for byte"
    stage.expect(not changed, f"pg_dump --schema-only is as before, {how}")
    other = [
        name
        for name in sorted(before.rows.keys() | after.rows.keys())
        if before.rows.get(name) != after.rows.get(name)
    ]
    stage.expect(
        not other,
        f"All {count(before.counted, 'row')} in {count(len(before.rows), 'table')} are as "
        f"{'at the snapshot' if restored else 'before'}"
        + (f", but not those of {', '.join(other)}" if other else ""),
    )
