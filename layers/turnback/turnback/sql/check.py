"""What is wrong with a project's files, as far as that shows without a database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from turnback.errors import InvalidMigration, RollbackMissing, TurnbackError
from turnback.migrations.headers import is_template, read_fields
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.versions import jump, key
from turnback.sql.other_formats import refuse_other_formats
from turnback.sql.pending_backfills import required_backfills
from turnback.sql.repeatable.content import read
from turnback.sql.repeatable.order import in_order
from turnback.sql.repeatable.undo import undo
from turnback.sql.script import prepare, syntax_error


def check_migration(migration: Migration, *, baseline: bool = False) -> list[TurnbackError]:
    """What is wrong with the scripts of a migration: a missing rollback, the header, the SQL.

    Args:
        migration: the migration.
        baseline: whether it is of the baseline, and needs no rollback script.
    """
    findings: list[TurnbackError] = []
    reason = baseline or migration.forward.directives.irreversible
    if migration.rollback is None and not reason:
        findings.append(
            RollbackMissing(
                "there is no rollback script",
                file=migration.forward.path,
                version=migration.version,
                hint=f"{migration.write_rollback}, or say in the header: "
                "-- turnback: irreversible because REASON",
            )
        )
    if baseline and is_template(migration.forward):
        findings.append(
            InvalidMigration(
                "the baseline is still the empty file of turnback generate",
                file=migration.forward.path,
                version=migration.version,
                hint="write into it what the database has: pg_dump --schema-only",
            )
        )
    for script in (migration.forward, migration.rollback, migration.verify):
        if script is not None:
            findings += _check_script(script, migration)
    return findings


def _check_script(script: Script, migration: Migration) -> list[TurnbackError]:
    findings: list[TurnbackError] = []
    version, line = read_fields(script.head, script.path).get("version", (migration.version, 1))
    if key(version) != migration.key:
        findings.append(
            InvalidMigration(
                f"the header says version {version}, the name says {migration.version}",
                file=script.path,
                line=line,
                hint="make the two agree",
            )
        )
    try:
        refuse_other_formats(script, migration.version, forward=script is migration.forward)
        runnable = prepare(script)
    except TurnbackError as finding:
        return [*findings, finding]
    if runnable.statements is None and (error := syntax_error(script)):
        findings.append(error)
    return findings


def check_after(project: Project) -> list[TurnbackError]:
    """What is wrong with the directives ``after``."""
    findings: list[TurnbackError] = []
    for migration in project.migrations:
        try:
            required_backfills(project, migration)
        except InvalidMigration as error:
            findings.append(error)
    return findings


def gaps(project: Project) -> list[str]:
    """Where versions are left out, as remarks; versions that are times have gaps by nature."""
    versions = [migration.version for migration in project.migrations]
    return list(filter(None, itertools.starmap(jump, itertools.pairwise(versions))))


def check_repeatables(repeatables: Sequence[Migration]) -> list[TurnbackError]:
    """What is wrong with the repeatables: what cannot run again, or is not undone; a circle."""
    findings = [finding for one in repeatables for finding in _check_repeatable(one)]
    if not findings:
        try:
            in_order(repeatables)
        except TurnbackError as error:
            findings.append(error)
    return findings


def _check_repeatable(repeatable: Migration) -> list[TurnbackError]:
    try:
        content = read(repeatable.forward)
        refuse_other_formats(repeatable.forward, repeatable.version, forward=True)
    except TurnbackError as error:
        return [error]
    found = list(content.faults())
    for script in filter(None, (repeatable.forward, repeatable.rollback)):
        if unread := syntax_error(script):
            found.append(unread)
    try:
        undo(repeatable)
    except TurnbackError as error:
        found.append(error)
    return found
