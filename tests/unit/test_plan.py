"""What a run will do, from the files and the history alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from turnback.engine.look.half_done import HalfDone, ScriptEffects
from turnback.engine.look.history import StoredScript
from turnback.engine.run.plan import (
    Plan,
    plan_down,
    plan_down_stored,
    plan_up,
    remaining,
    step_down,
    step_up,
)
from turnback.errors import (
    ChecksumMismatch,
    InvalidMigration,
    MigrationMissing,
    OutOfOrder,
    RollbackMissing,
    UnknownVersion,
)
from turnback.sql.statements import split

from tests.unit.migrations import entry, migration, project

ONE, TWO, THREE = migration("0001"), migration("0002"), migration("0003")
ALL = project(ONE, TWO, THREE)
BEGUN = frozenset({1})


def versions(plan: Plan) -> list[str]:
    return [step.version for step in plan.steps]


def half(version: str, **more) -> HalfDone:
    effects = ScriptEffects.of(split("CREATE TABLE a ()"))
    return HalfDone(version, "half", "c0ffee", BEGUN, frozenset({"r"}), effects, **more)


def test_what_is_pending_runs_oldest_first() -> None:
    plan = plan_up(ALL, [entry(ONE)])
    assert (plan.direction, versions(plan)) == ("up", ["0002", "0003"])
    assert [(step.direction, step.runnable.script) for step in plan.steps] == [
        ("up", TWO.forward),
        ("up", THREE.forward),
    ]
    assert not plan.empty


def test_nothing_runs_where_all_is_applied() -> None:
    assert plan_up(ALL, [entry(ONE), entry(TWO), entry(THREE)]).empty


def test_what_failed_or_was_rolled_back_is_pending_again() -> None:
    history = [entry(ONE), entry(TWO, success=False), entry(THREE, rolled_back_at="2026")]
    assert versions(plan_up(ALL, history)) == ["0002", "0003"]


@pytest.mark.parametrize("target", ["0002", "2"])
def test_up_to_a_target_includes_it(target: str) -> None:
    assert versions(plan_up(ALL, [], target=target)) == ["0001", "0002"]


def test_a_target_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownVersion, match="there is no migration 0004") as caught:
        plan_up(ALL, [], target="0004")
    assert (caught.value.version, caught.value.hint) == (
        "0004",
        "turnback status shows every migration",
    )


def test_a_pending_migration_older_than_an_applied_one_is_refused_unless_allowed() -> None:
    with pytest.raises(OutOfOrder) as caught:
        plan_up(ALL, [entry(ONE), entry(THREE)])
    error = caught.value
    assert error.message == "0002 is pending, but 0003 is applied already"
    assert (error.version, error.file) == ("0002", TWO.forward.path)
    assert "--out-of-order" in str(error.hint)
    allowed = plan_up(ALL, [entry(ONE), entry(THREE)], out_of_order=True)
    assert versions(allowed) == ["0002"]


def test_a_migration_numbered_zero_may_be_pending_alone() -> None:
    assert versions(plan_up(project(migration("0000")), [])) == ["0000"]


def test_a_file_that_was_edited_is_refused() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        plan_up(ALL, [entry(ONE, checksum="other"), entry(TWO)])
    error = caught.value
    assert error.message == "0001 was edited after it was applied"
    assert (error.version, error.file) == ("0001", ONE.forward.path)
    assert "turnback repair 0001 --accept-checksum --because REASON" in str(error.hint)
    assert "turnback redo" in str(error.hint)


def test_a_file_that_is_gone_is_refused() -> None:
    with pytest.raises(MigrationMissing) as caught:
        plan_up(project(ONE), [entry(ONE), entry(TWO)])
    assert caught.value.message == "0002 (m2) is applied, but its file is gone"
    assert caught.value.version == "0002"
    assert "turnback down to the version before it" in str(caught.value.hint)


def test_the_first_of_several_differences_counts_the_others() -> None:
    history = [entry(ONE, checksum="other"), entry(TWO), entry(THREE)]
    for differences, more in ((2, 1), (3, 2)):
        with pytest.raises(ChecksumMismatch) as caught:
            plan_up(project(ONE), history[:differences])
        assert caught.value.message == (
            f"0001 was edited after it was applied (and {more} more; turnback status shows every "
            "migration)"
        )


def test_a_migration_needs_a_rollback_script_or_a_reason() -> None:
    bare = migration("0002", back=None)
    with pytest.raises(RollbackMissing) as caught:
        plan_up(project(ONE, bare), [])
    assert caught.value.message == "0002 has no rollback script"
    assert (caught.value.version, caught.value.file) == ("0002", bare.forward.path)
    assert "-- turnback: irreversible because REASON" in str(caught.value.hint)
    assert versions(plan_up(project(bare), [], rollback_required=False)) == ["0002"]
    said = migration("0002", "-- turnback: irreversible because it is\nSELECT 1;\n", None)
    assert versions(plan_up(project(said), [])) == ["0002"]


def test_a_rollback_script_that_cannot_be_run_is_refused_before_its_migration_runs() -> None:
    unreadable = migration("0002", back="BEGIN; SELECT 1; COMMIT; SELECT 2;\n")
    for required in (True, False):
        with pytest.raises(InvalidMigration) as caught:
            plan_up(project(ONE, unreadable), [], rollback_required=required)
        assert caught.value.file == "rollback/0002_rollback.sql"


def test_an_unreadable_file_after_the_target_does_not_matter() -> None:
    unreadable = migration("0002", "\\d\n")
    assert versions(plan_up(project(ONE, unreadable), [], target="0001")) == ["0001"]


def test_a_verify_script_runs_in_its_migrations_transaction() -> None:
    good = step_up(migration("0001", verify="SELECT 1;\n"))
    assert good.verify is not None and good.verify.text == "SELECT 1;\n"
    for verify in ("VACUUM;\n", "SAVEPOINT s;\nROLLBACK TO s;\n"):
        with pytest.raises(InvalidMigration) as caught:
            step_up(migration("0001", verify=verify))
        assert (caught.value.file, caught.value.version) == ("verify/0001_verify.sql", "0001")
        assert caught.value.message == (
            "a verify script runs read-only, in its migration's transaction"
        )
        assert "ASSERT" in str(caught.value.hint)


def test_a_gap_in_the_numbers_is_noted_only_before_what_is_planned() -> None:
    far = project(ONE, migration("0003"), migration("0007"))
    assert plan_up(far, [entry(ONE)]).notes == (
        "the numbers jump from 1 to 3",
        "the numbers jump from 3 to 7",
    )
    assert plan_up(far, [entry(ONE), entry(far.migrations[1])]).notes == (
        "the numbers jump from 3 to 7",
    )
    assert plan_up(ALL, []).notes == ()


def test_timestamps_are_no_gap() -> None:
    stamps = project(migration("20261101"), migration("20261130"))
    assert plan_up(stamps, []).notes == ()
    assert plan_up(project(migration("1"), migration("9999999")), []).notes != ()
    assert plan_up(project(migration("1"), migration("10000000")), []).notes == ()


def test_a_plan_as_a_document() -> None:
    outside = migration("0002", "VACUUM;\n")
    document = plan_up(project(ONE, outside), []).to_dict()
    assert document == {
        "direction": "up",
        "migrations": [
            {
                "version": "0001",
                "name": "m1",
                "file": "sql/0001_m1.sql",
                "checksum": ONE.forward.checksum,
                "in_transaction": True,
            },
            {
                "version": "0002",
                "name": "m2",
                "file": "sql/0002_m2.sql",
                "checksum": outside.forward.checksum,
                "in_transaction": False,
            },
        ],
        "notes": [],
    }


# Downwards


def test_down_rolls_back_what_is_applied_after_the_target_newest_first() -> None:
    history = [entry(ONE), entry(TWO), entry(THREE)]
    plan = plan_down(ALL, history, {}, target="0001")
    assert (plan.direction, versions(plan)) == ("down", ["0003", "0002"])
    assert [(step.direction, step.runnable.script) for step in plan.steps] == [
        ("down", THREE.rollback),
        ("down", TWO.rollback),
    ]


def test_down_to_zero_is_all_of_them_even_one_numbered_zero() -> None:
    zero = migration("0000")
    plan = plan_down(project(zero, ONE), [entry(zero), entry(ONE)], {}, target="0")
    assert versions(plan) == ["0001", "0000"]


def test_zero_need_not_be_the_number_of_a_migration() -> None:
    assert versions(plan_down(ALL, [entry(ONE), entry(TWO)], {}, target="0")) == ["0002", "0001"]


def test_what_is_applied_up_to_the_target_is_not_rolled_back() -> None:
    history = [entry(ONE), entry(TWO), entry(THREE)]
    assert versions(plan_down(ALL, history, {}, target="0002")) == ["0003"]


def test_what_is_not_applied_is_not_rolled_back() -> None:
    history = [entry(ONE), entry(TWO, rolled_back_at="2026"), entry(THREE, success=False)]
    assert plan_down(ALL, history, {}, target="0001").empty


def test_down_to_a_version_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownVersion):
        plan_down(ALL, [entry(ONE)], {}, target="0009")


def test_down_to_a_version_whose_file_is_gone_is_possible() -> None:
    stored = {"0003": StoredScript("rollback/0003_rollback.sql", "SELECT 3;\n")}
    plan = plan_down(project(), [entry(TWO), entry(THREE)], stored, target="0002")
    (step,) = plan.steps
    assert step.runnable.script.path == "rollback/0003_rollback.sql (stored)"
    assert step.runnable.script.sql == "SELECT 3;\n"
    assert (step.migration.name, step.migration.forward.checksum) == (
        "m3",
        THREE.forward.checksum,
    )
    assert step.migration.forward.path == "sql/0003_m3.sql"


def test_the_rollback_script_of_the_folder_goes_before_the_stored_one() -> None:
    stored = {"0003": StoredScript("old.sql", "SELECT 3;\n")}
    (step,) = plan_down(ALL, [entry(TWO), entry(THREE)], stored, target="0002").steps
    assert step.runnable.script == THREE.rollback


def test_a_stored_script_is_read_with_its_header() -> None:
    stored = {"0003": StoredScript("r.sql", "-- turnback: no-transaction\nSELECT 3;\n")}
    (step,) = plan_down_stored([entry(THREE)], stored).steps
    assert step.runnable.one_by_one


def test_down_without_a_rollback_script_is_refused_with_the_reason_for_it() -> None:
    bare = migration("0002", "-- turnback: irreversible because it is\nSELECT 1;\n", None)
    with pytest.raises(RollbackMissing) as caught:
        plan_down(project(ONE, bare), [entry(ONE), entry(bare)], {}, target="0001")
    assert caught.value.message == ("0002 (m2) has no rollback script: irreversible because it is")
    assert caught.value.version == "0002"
    assert "restore a snapshot" in str(caught.value.hint)
    with pytest.raises(RollbackMissing, match=r"0002 \(m2\) has no rollback script$"):
        plan_down_stored([entry(bare)], {})


def test_a_stored_plan_uses_the_stored_scripts_newest_first() -> None:
    stored = {
        "0001": StoredScript("rollback/0001_rollback.sql", "SELECT 1;\n"),
        "0003": StoredScript("rollback/0003_rollback.sql", "SELECT 3;\n"),
    }
    plan = plan_down_stored([entry(ONE), entry(THREE)], stored)
    assert (plan.direction, versions(plan)) == ("down", ["0003", "0001"])


def test_what_is_half_done_is_rolled_back_before_all_others() -> None:
    script = StoredScript("rollback/0004_rollback.sql", "SELECT 4;\n")
    found = half("0004", rollback=script)
    plan = plan_down(ALL, [entry(TWO), entry(THREE)], {}, target="0002", half_done=[found])
    assert versions(plan) == ["0004", "0003"]
    assert [step.half for step in plan.steps] == [found, None]
    assert [m.get("half_done") for m in plan.to_dict()["migrations"]] == [True, None]
    assert versions(plan_down_stored([], {}, [found])) == ["0004"]


def test_what_is_half_done_up_to_the_target_is_not_rolled_back() -> None:
    script = StoredScript("rollback/0002_rollback.sql", "SELECT 2;\n")
    halves = [half(version, rollback=script) for version in ("0002", "0001")]
    plan = plan_down(ALL, [entry(THREE)], {}, target="0002", half_done=halves)
    assert versions(plan) == ["0003"]


def test_the_file_says_what_the_log_of_an_older_turnback_does_not() -> None:
    old = replace(half("0003"), effects=None)
    made = migration("0003", "CREATE TABLE made ();\n")
    (step,) = plan_down(project(TWO, made), [entry(TWO)], {}, target="0002", half_done=[old]).steps
    assert step.half is not None and step.half.made() == {"made"}


def test_without_a_name_the_message_has_none() -> None:
    with pytest.raises(RollbackMissing, match=r"^0003 has no rollback script"):
        plan_down_stored([], {}, [replace(half("0003"), name="")])


def test_step_down_without_a_rollback_script_is_none() -> None:
    assert step_down(migration("0001", back=None)) is None
    step = step_down(ONE)
    assert step is not None
    assert (step.version, step.name, step.direction) == ("0001", "m1", "down")


# What is left when the lock is held


def test_what_another_run_applied_meanwhile_is_left_out() -> None:
    plan = plan_up(ALL, [])
    # The same text, as the server sends it.
    checksum = "".join(list(ONE.forward.checksum))
    left = remaining(plan, [entry(ONE, checksum=checksum), entry(TWO)], [])
    assert [step.version for step in left] == ["0003"]


def test_what_another_run_tried_in_vain_is_still_left() -> None:
    plan = plan_up(project(ONE), [])
    for row in (entry(ONE, success=False), entry(ONE, rolled_back_at="2026")):
        assert remaining(plan, [row], []) == list(plan.steps)


def test_what_another_run_applied_from_another_file_is_refused() -> None:
    plan = plan_up(ALL, [])
    with pytest.raises(ChecksumMismatch):
        remaining(plan, [entry(ONE, checksum="0")], [])
    with pytest.raises(ChecksumMismatch) as caught:
        remaining(plan, [entry(ONE, checksum="other")], [])
    assert caught.value.message == "0001 was applied by another run, from another file"
    assert (caught.value.version, caught.value.file) == ("0001", ONE.forward.path)
    assert caught.value.hint == "turnback status shows every migration"


def test_what_another_run_rolled_back_meanwhile_is_left_out() -> None:
    plan = plan_down(ALL, [entry(TWO), entry(THREE)], {}, target="0001")
    now = [entry(TWO), entry(THREE, rolled_back_at="2026")]
    assert [step.version for step in remaining(plan, now, [])] == ["0002"]
    assert remaining(plan, [], []) == []


def test_down_does_not_compare_checksums() -> None:
    plan = plan_down(ALL, [entry(TWO), entry(THREE)], {}, target="0002")
    assert len(remaining(plan, [entry(THREE, checksum="other")], [])) == 1


def test_what_is_half_done_is_taken_as_it_is_now() -> None:
    script = StoredScript("rollback/0003_rollback.sql", "SELECT 3;\n")
    before = half("0003", rollback=script)
    plan = plan_down(ALL, [entry(TWO)], {}, target="0002", half_done=[before])
    now = replace(before, done=frozenset({1, 2}), effects=None)
    (step,) = remaining(plan, [], [now])
    assert step.half == replace(now, effects=before.effects)
    newer = replace(now, effects=ScriptEffects())
    (step,) = remaining(plan, [], [newer])
    assert step.half is not None and step.half.effects == ScriptEffects()
    assert remaining(plan, [entry(THREE)], []) == []


def test_the_steps_after_one_that_is_gone_are_still_left() -> None:
    script = StoredScript("rollback/0003_rollback.sql", "SELECT 3;\n")
    plan = plan_down(
        ALL, [entry(TWO)], {}, target="0001", half_done=[half("0003", rollback=script)]
    )
    assert [step.version for step in remaining(plan, [entry(TWO)], [])] == ["0002"]
