"""``check``: everything that can be known without a database."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, count, reported
from turnback.errors import (
    CheckFailed,
    ChecksumMismatch,
    InvalidMigration,
    ProjectNotFound,
    RollbackMissing,
    TurnbackError,
)
from turnback.migrations.checksums import FILE, compare, scripts_of, write_sums
from turnback.migrations.discovery import scan
from turnback.migrations.headers import read_fields
from turnback.migrations.model import Migration, Project
from turnback.sql.script import prepare, syntax_error


@click.command(epilog="Example: turnback check --fix")
@opt.directory
@click.option(
    "--fix", is_flag=True, help=f"Rewrite {FILE}; applied migrations must be as they were."
)
@opt.database
@opt.as_json
@reported
def check(
    *,
    directory: Path,
    fix: bool,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> int:
    """Check the files: names, numbers, headers, pairs, SQL, checksums. For a pre-commit hook.

    Needs no database. With --fix, SHA256SUMS is rewritten; the database, if one is named or the
    project has its own, is asked first, so that no file is changed that it has applied.
    """
    project, findings = scan(directory)
    if not project.migrations and not findings:
        raise ProjectNotFound(
            f"no migrations in {directory / 'sql'}",
            hint="write the first one: turnback generate NAME",
        )
    for migration in project.migrations:
        findings += _check_migration(migration)
    if fix:
        # What is wrong with the sums is mended by writing them.
        findings = [finding for finding in findings if finding.file != FILE]
        findings += _fix(project, directory, database_url, history_schema, out)
    elif all(finding.file != FILE for finding in findings):
        findings += compare(project)
    notes = list(_gaps(project))
    for text in notes:
        out.note(f"note: {text}")
    out.document |= {
        "migrations": len(project.migrations),
        "findings": [finding.to_dict() for finding in findings],
        "notes": notes,
    }
    if not findings:
        out.document["status"] = "ok"
        out.result(f"{count(len(project.migrations), 'migration')}: nothing found.")
        return 0
    out.document["status"] = "findings"
    for finding in findings:
        out.result(str(finding))
        if finding.hint:
            out.result(f"    {finding.hint}")
    out.note(f"{count(len(findings), 'finding')}.")
    return CheckFailed.exit_code


def _check_migration(migration: Migration) -> list[TurnbackError]:
    findings: list[TurnbackError] = []
    if migration.rollback is None and migration.forward.directives.irreversible is None:
        findings.append(
            RollbackMissing(
                "there is no rollback script",
                file=migration.forward.path,
                version=migration.version,
                hint=f"write rollback/{migration.version}_rollback.sql, or say in the header: "
                "-- turnback: irreversible because REASON",
            )
        )
    for script in (migration.forward, migration.rollback, migration.verify):
        if script is None:
            continue
        fields = read_fields(script.sql)
        version, line = fields.get("version", (migration.version, 1))
        if version.isdecimal() is False or int(version) != migration.number:
            findings.append(
                InvalidMigration(
                    f"the header says version {version}, the name says {migration.version}",
                    file=script.path,
                    line=line,
                    hint="make the two agree",
                )
            )
        try:
            runnable = prepare(script)
        except TurnbackError as finding:
            findings.append(finding)
            continue
        if runnable.statements is None and (error := syntax_error(script)):
            findings.append(error)
    return findings


def _gaps(project: Project) -> list[str]:
    numbers = [migration.number for migration in project.migrations]
    return [
        f"the numbers jump from {before} to {after}"
        for before, after in itertools.pairwise(numbers)
        if after - before > 1 and after < 10**7
    ]


def _fix(
    project: Project, directory: Path, url: str | None, schema: str, out: Output
) -> list[TurnbackError]:
    """Rewrite SHA256SUMS, unless an applied file would be changed by that."""
    blocked: list[TurnbackError] = []
    if url or (directory.resolve().parent / ".turnback" / "postgres").exists():
        from turnback.cli.database import open_engine

        with open_engine(url, directory, schema, out) as engine:
            blocked = [
                ChecksumMismatch(
                    f"{item.version} is applied, and was edited since",
                    version=item.version,
                    hint="undo the edit, or accept it: "
                    f"turnback repair {item.version} --accept-checksum --because REASON",
                )
                for item in engine.status(project)
                if item.status == "changed"
            ]
    if blocked:
        return blocked
    sums = {script.path: script.checksum for script in scripts_of(project)}
    if sums != project.sums:
        write_sums(directory, sums)
        out.note(f"{FILE} rewritten: {count(len(sums), 'file')}.")
    return []
