"""The acts of the demo: a release that succeeds, one that is refused, one that is turned back.

Each raises CheckFailed when something is not as it should be.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from turnback.cli.output import count
from turnback.cli.stage import Stage, Standing

if TYPE_CHECKING:
    from turnback.local.next_release import NewRelease

# Lines of a difference that must not be.
SHOWN = 40


def first_release(stage: Stage) -> None:
    """Upload 1.0.0, and see that all of it is applied."""
    migrations = stage.root / "migrations"
    stage.story.step("Release 1.0.0: the example project in migrations/")
    status = stage.release("1.0.0", migrations)
    words = stage.words(migrations)
    stage.expect(status == "SUCCEEDED", f"The execution ended as {status}")
    stage.told("succeeded")
    stage.expect(
        set(words.values()) == {"applied"}, f"All {count(len(words), 'migration')} are applied"
    )
    stage.message(["1.0.0", "succeeded"])
    stage.story.done()


def application(stage: Stage) -> None:
    """Let the application write rows: no rehearsal on an empty database knows them."""
    from turnback.local.database import run_sql
    from turnback.local.next_release import ROWS

    stage.story.step("The application writes rows; two authors choose the same title")
    run_sql(stage.server, stage.database.name, ROWS)
    stage.story.done()


def unproven_release(stage: Stage) -> None:
    """Upload 1.1.0, and see that its rehearsal refuses it before anything is touched."""
    from turnback.local.next_release import FORGOTTEN, write_release

    stage.story.step("Release 1.1.0: three more migrations; a rollback forgets an index")
    release = write_release(
        stage.root / "migrations", stage.folder / "migrations-1.1.0", mended=False
    )
    last = _turned_back(stage, "1.1.0", release, "refused")
    found = last["error"]["message"].splitlines()[-1].removeprefix("- ")
    stage.expect(last["snapshot"] is None, "Not even a snapshot was taken")
    stage.expect(
        last["error"]["file"] == release.second_rollback and FORGOTTEN in found,
        f"The status says what {release.second_rollback} forgets: {found}",
    )
    stage.message(["1.1.0", "refused", release.second_rollback, FORGOTTEN])
    stage.story.done("refused")


def failing_release(stage: Stage) -> None:
    """Upload 1.2.0, see it fail, its rollback fail, and the snapshot restored."""
    from turnback.local.next_release import write_release

    stage.story.step(
        "Release 1.2.0: that rollback is mended. After two migrations, the third fails on the real "
        "rows; so does the rollback of the second"
    )
    release = write_release(
        stage.root / "migrations", stage.folder / "migrations-1.2.0", mended=True
    )
    last = _turned_back(stage, "1.2.0", release, "restored")
    error, rollback = last["error"], last["rollback_error"]
    found, where = f"{error['file']}:{error['line']}", f"{release.file}:{release.line}"
    stage.expect(last["rehearsal"]["status"] == "proven", "Its rollbacks were proven before")
    stage.expect(found == where, f"The status says where it failed: {found}")
    stage.expect(
        rollback["file"].startswith(release.second_rollback),
        f"and where its rollback failed: {rollback['file']}:{rollback['line']}",
    )
    kept = last["restore"]["kept"]
    stage.expect(bool(kept), f"The database that was replaced is kept as {kept}")
    stage.message(["1.2.0", "restored", where])
    stage.story.done("restored")


def _turned_back(stage: Stage, number: str, release: NewRelease, word: str) -> dict[str, Any]:
    """Release, and see that the database is as before; returns the last status."""
    before = stage.standing()
    status = stage.release(number, release.folder)
    after = stage.standing()
    words = stage.words(release.folder)
    stage.expect(status == "FAILED", f"The execution ended as {status}")
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
        f"All {count(before.counted, 'row')} in {count(len(before.rows), 'table')} are as before"
        + (f", but not those of {', '.join(other)}" if other else ""),
    )
