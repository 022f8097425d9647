"""An act of the demo: an instance of RDS is restored by hand, and its endpoint stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnback.demo.ways_in import command

if TYPE_CHECKING:
    from turnback.demo.stage import Stage

STACK, INSTANCE = "turnback-rds", "learning-db"


def restored_instance(stage: Stage) -> None:
    """Take a snapshot of an instance and restore it, by the commands that a person types.

    The local AWS keeps no data in snapshots of RDS: what is shown are the names, the endpoint and
    the settings. That rows come back is shown by dumps.
    """
    from turnback.demo.managed import make_managed

    stage.story.step("RDS: a snapshot of an instance, restored by hand under the same endpoint")
    make_managed(stage.aws, stage.database, STACK, INSTANCE, stage.outputs)
    before = _instances(stage)[INSTANCE]
    taken = command(stage, "backup", "--stack", STACK)
    stage.expect(taken == 0, "The snapshot is available")
    rows = stage.aws.client("rds").describe_db_snapshots()["DBSnapshots"]
    snapshot = str(rows[-1]["DBSnapshotIdentifier"])
    listed = command(stage, "snapshots", "--stack", STACK)
    stage.expect(listed == 0 and len(rows) == 1, "There is one snapshot")
    restored = command(stage, "restore", snapshot, "--stack", STACK, "--yes")
    stage.expect(restored == 0, "The instance is restored")
    after = _instances(stage)
    stage.expect(
        after[INSTANCE]["Endpoint"] == before["Endpoint"], "Its endpoint is the one it had"
    )
    kept = [name for name, row in after.items() if row["DbiResourceId"] == before["DbiResourceId"]]
    stage.expect(
        len(after) == 2 and kept != [INSTANCE], f"The old instance is kept as {', '.join(kept)}"
    )
    stage.story.say(
        "(the local AWS keeps no data in snapshots of RDS; the dump above has shown it)"
    )
    stage.story.done("restored")


def _instances(stage: Stage) -> dict[str, dict[str, Any]]:
    rows = stage.aws.client("rds").describe_db_instances()["DBInstances"]
    return {str(row["DBInstanceIdentifier"]): row for row in rows}
