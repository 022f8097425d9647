"""The demo's scenarios: a release that succeeds, one that is refused, one that is restored.

Each raises CheckFailed when something is not as expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from turnback.demo.environment import DatabaseState, Environment
from turnback.demo.releases import FORGOTTEN, ROWS, NewRelease, SignUpApplication, write_release
from turnback.demo.triggers import command, pipeline_stage
from turnback.errors import CheckFailed
from turnback.local.aws import LocalAws
from turnback.local.database import Database, reread, rows_of, run_sql
from turnback.wording import counted

# Lines of an unexpected difference that are shown.
SHOWN = 40
RDS_STACK, INSTANCE = "turnback-rds", "learning-db"
_STACK_SECONDS = 30


def first_release(environment: Environment) -> None:
    """Release 1.0.0 by a pipeline of two stages, and check that every migration is applied."""
    migrations = environment.root / "migrations"
    environment.transcript.step("Release 1.0.0, by a pipeline: the example project in migrations/")
    rehearsed = pipeline_stage(environment, "Rehearse", "rehearse", migrations, "1.0.0")
    environment.expect(rehearsed.kind == "success", "The pipeline continues with its next stage")
    environment.expect_final_status("succeeded")
    result = pipeline_stage(environment, "Migrate", "migrate", migrations, "1.0.0")
    environment.expect(result.kind == "success", "The pipeline has succeeded")
    last = environment.expect_final_status("succeeded")
    statuses = environment.migration_statuses(migrations)
    environment.expect(
        set(statuses.values()) == {"applied"},
        f"All {counted(len(statuses), 'migration')} are applied",
    )
    newest = list(statuses)[-1]
    environment.expect(
        result.variables["schema_version"] == newest,
        f"Later stages can read the schema version, {newest}",
    )
    environment.expect_message(last["run"], ["1.0.0 succeeded"])
    environment.transcript.done("succeeded")


def application(environment: Environment) -> None:
    """Let the application write rows, which no rehearsal on an empty database can know."""
    environment.transcript.step("The application writes rows; two authors choose the same title")
    run_sql(environment.server, environment.database.name, ROWS)
    environment.transcript.done()


def unproven_release(environment: Environment) -> None:
    """Release 1.1.0 from the terminal; it is refused before anything is touched."""
    environment.transcript.step(
        "Release 1.1.0, from the terminal: three more migrations; a rollback forgets an index"
    )
    release = write_release(
        environment.root / "migrations", environment.folder / "migrations-1.1.0", complete=False
    )
    before = environment.database_state()
    code = command(environment, "release", str(release.folder), "--release", "1.1.0", "--watch")
    environment.expect(code == CheckFailed.exit_code, f"It exits with code {code}")
    last = _expect_reverted(environment, before, release, "refused")
    found = last["error"]["message"].splitlines()[-1].removeprefix("- ")
    environment.expect(last["snapshot"] is None, "No snapshot was taken")
    environment.expect(
        last["error"]["file"] == release.second_rollback and FORGOTTEN in found,
        f"The status says what {release.second_rollback} forgets: {found}",
    )
    environment.expect_message(last["run"], ["1.1.0 was refused", FORGOTTEN])
    environment.transcript.done("refused")


def failing_release(environment: Environment) -> None:
    """Release 1.2.0 by the pipeline: it fails, its rollback fails, the snapshot is restored."""
    environment.transcript.step(
        "Release 1.2.0, by the pipeline: that rollback is fixed. After two migrations, the third "
        "fails on the real rows; so does the rollback of the second. Meanwhile people sign up"
    )
    release = write_release(
        environment.root / "migrations", environment.folder / "migrations-1.2.0", complete=True
    )
    before = environment.database_state()
    with SignUpApplication(environment.server, environment.database.name) as signing_up:
        result = pipeline_stage(environment, "Migrate", "migrate", release.folder, "1.2.0")
        written = signing_up.written()
    where = f"{release.file}:{release.line}"
    environment.expect(
        result.kind == "failure" and where in result.text, f"The stage names {where}"
    )
    last = _expect_reverted(environment, before, release, "restored")
    rollback = last["rollback_error"]
    environment.expect(
        rollback["file"].startswith(release.second_rollback),
        f"The status says where its rollback failed: {rollback['file']}:{rollback['line']}",
    )
    _expect_loss_as_announced(environment, last, written)
    message = environment.expect_message(last["run"], ["1.2.0 failed and was restored", where])
    environment.transcript.say("the message as it looks now:")
    environment.show(message)
    environment.transcript.done("restored")


def restored_instance(environment: Environment) -> None:
    """Take a snapshot of an RDS instance and restore it, from the command line.

    The local AWS keeps no data in RDS snapshots: this shows the names, the endpoint and the
    settings. The dump of the release before has shown that rows are restored.
    """
    environment.transcript.step(
        "RDS: a snapshot of an instance, restored from the command line under the same endpoint"
    )
    create_instance_stack(
        environment.aws, environment.database, RDS_STACK, INSTANCE, environment.outputs
    )
    before = _instances(environment.aws)[INSTANCE]
    code = command(environment, "backup", "--stack", RDS_STACK)
    environment.expect(code == 0, "The snapshot is available")
    rows = environment.aws.client("rds").describe_db_snapshots()["DBSnapshots"]
    snapshot = str(rows[-1]["DBSnapshotIdentifier"])
    code = command(environment, "snapshots", "--stack", RDS_STACK)
    environment.expect(code == 0 and len(rows) == 1, "There is one snapshot")
    code = command(environment, "restore", snapshot, "--stack", RDS_STACK, "--yes")
    environment.expect(code == 0, "The instance is restored")
    after = _instances(environment.aws)
    environment.expect(
        after[INSTANCE]["Endpoint"] == before["Endpoint"], "It has the same endpoint as before"
    )
    kept = [name for name, row in after.items() if row["DbiResourceId"] == before["DbiResourceId"]]
    environment.expect(
        len(after) == 2 and kept != [INSTANCE], f"The old instance is kept as {', '.join(kept)}"
    )
    environment.transcript.say(
        "(the local AWS keeps no data in RDS snapshots; the dump above has shown it)"
    )
    environment.transcript.done("restored")


def create_instance_stack(
    aws: LocalAws, database: Database, stack: str, instance: str, outputs: Mapping[str, str]
) -> None:
    """Create an RDS instance whose endpoint leads to a database, and a stack that names it.

    The instance's snapshots contain no data.

    Args:
        aws: where.
        database: answers at the endpoint.
        stack: name of the stack; it has only the parameters and outputs that commands read.
        instance: identifier of the instance.
        outputs: of a stack of turnback: ``BucketName``, ``StateMachineArn``, ``TopicArn``.
    """
    secret = aws.client("secretsmanager").create_secret(
        Name=f"{stack}/{instance}", SecretString=database.as_secret()
    )
    aws.client("rds").create_db_instance(
        DBInstanceIdentifier=instance,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=100,
        Port=database.port,
        MasterUsername=database.user,
        MasterUserPassword=database.password,
        Tags=[{"Key": "team", "Value": database.name}],
    )
    parameters = {
        "SnapshotKind": "rds",
        "Target": database.name,
        "DbInstanceIdentifier": instance,
        "DatabaseSecretArn": secret["ARN"],
        # The embedded Postgres has no TLS.
        "DatabaseTls": "disable",
        "RestorePollSeconds": "1",
    }
    needed = ("BucketName", "StateMachineArn", "TopicArn")
    template: dict[str, Any] = {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        # A template must have a resource; a wait handle does nothing.
        "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {name: {"Value": outputs[name]} for name in needed},
    }
    cloud = aws.client("cloudformation")
    cloud.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )
    cloud.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": _STACK_SECONDS}
    )


def _expect_loss_as_announced(
    environment: Environment, last: dict[str, Any], written: dict[str, int]
) -> None:
    """Check that the application lost what the question announced, and that it is recoverable."""
    announced = {row["name"]: row["inserted"] for row in last["loss"]["tables"]}
    lost = sum(written.values())
    environment.expect(
        all(announced.get(table) == rows for table, rows in written.items()),
        f"Before the yes, the {lost} rows written since the snapshot were announced as lost",
    )
    kept = last["restore"]["kept"]
    # The restore closed it, so that nothing writes into it by mistake.
    run_sql(environment.server, "postgres", f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true')
    there = _row_counts(rows_of(environment.server, kept))
    here = _row_counts(environment.database_state().rows)
    environment.expect(
        all(there[table] - here.get(table, 0) == rows for table, rows in written.items()),
        f"They can still be recovered from the database as it failed: {kept}",
    )


def _row_counts(rows: dict[str, str]) -> dict[str, int]:
    return {table: int(state.split()[0]) for table, state in rows.items()}


def _expect_reverted(
    environment: Environment, before: DatabaseState, release: NewRelease, word: str
) -> dict[str, Any]:
    """Check how the run ended and that the database is as before; returns the last status."""
    after = environment.database_state()
    statuses = environment.migration_statuses(release.folder)
    last = environment.expect_final_status(word)
    applied = [version for version in release.versions if statuses[version] == "applied"]
    environment.expect(not applied, "None of its three migrations is applied")
    _expect_same(environment, before, after, word)
    return last


def _expect_same(
    environment: Environment, before: DatabaseState, after: DatabaseState, word: str
) -> None:
    restored = word == "restored"
    expected = reread(environment.server, before.schema) if restored else before.schema
    changed = list(unified_diff(expected.splitlines(), after.schema.splitlines(), n=1))
    for line in changed[:SHOWN]:
        environment.transcript.say(line.rstrip())
    how = "as PostgreSQL writes it after a restore" if restored else "byte for byte"
    environment.expect(not changed, f"pg_dump --schema-only is as before, {how}")
    different = [
        name
        for name in sorted(before.rows.keys() | after.rows.keys())
        if before.rows.get(name) != after.rows.get(name)
    ]
    environment.expect(
        not different,
        f"All {counted(before.row_count, 'row')} in {counted(len(before.rows), 'table')} are as "
        f"{'at the snapshot' if restored else 'before'}"
        + (f", but not those of {', '.join(different)}" if different else ""),
    )


def _instances(aws: LocalAws) -> dict[str, dict[str, Any]]:
    rows = aws.client("rds").describe_db_instances()["DBInstances"]
    return {str(row["DBInstanceIdentifier"]): row for row in rows}
