"""``check``: everything that can be known without a database."""

from __future__ import annotations

from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.annotations import Annotations, folder_of, format_option, formatted
from turnback.cli.database import has_own_database, open_engine
from turnback.cli.output import Output, reported
from turnback.cli.snippet import located, snippet
from turnback.errors import (
    CheckFailed,
    ChecksumMismatch,
    DuplicateVersion,
    ProjectNotFound,
    TurnbackError,
)
from turnback.migrations.checksums import FILE, checksums_of, compare, write_sums
from turnback.migrations.discovery import scan
from turnback.migrations.model import Project
from turnback.migrations.versions import key
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import OWN
from turnback.sql.check import check_after, check_migration, check_repeatables, gaps
from turnback.sql.own_tables import conflicts
from turnback.wording import counted


@click.command(epilog="Example: turnback check --fix")
@opt.directory
@click.option(
    "--fix", is_flag=True, help=f"Rewrite {FILE}; applied migrations must be as they were."
)
@click.option(
    "--base",
    metavar="REF",
    type=types.Given(),
    help="Compare with a branch, such as origin/main: versions taken or passed there, edits.",
)
@click.option(
    "--prisma",
    is_flag=True,
    help="Let the project's Prisma check its schema too: validate, and format --check.",
)
@opt.database
@format_option
@opt.as_json
@reported
@formatted
def check(
    *,
    directory: Path,
    fix: bool,
    base: str | None,
    prisma: bool,
    form: str,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> int:
    """Check the files: names, numbers, headers, pairs, SQL, checksums. For a pre-commit hook.

    Needs no database. With --fix, SHA256SUMS is rewritten; the database, if one is named or the
    project has its own, is asked first, so that no file is changed that it has applied. With
    --base, in a git repository, what this branch adds must be above what the base has, and what
    the base has must be unchanged; turnback rebase renumbers. With --prisma, where Prisma is not
    installed, nothing is said about it.
    """
    project, findings = scan(directory)
    if not project.migrations and not findings:
        own = project.settings.layout == OWN
        raise ProjectNotFound(
            f"no migrations in {directory / 'sql' if own else directory}",
            hint="write the first one: turnback generate NAME",
        )
    notes = gaps(project)
    if base:
        # git is for those who ask for it: a hook runs check on each commit.
        from turnback.migrations.layout_branch import LayoutBranch
        from turnback.migrations.merges import Branch

        branch = (
            Branch(directory, base, project.settings)
            if project.settings.layout == OWN
            else LayoutBranch(directory, base, project)
        )
        of_branch = branch.findings()
        # Which of two must be renumbered is known now; their scripts are paired after that.
        twice = (item for item in of_branch if isinstance(item, DuplicateVersion))
        taken = {key(item.version or "") for item in twice}
        findings = [item for item in findings if key(item.version or "") not in taken]
        findings += of_branch
        notes += branch.notes()
    for migration in project.migrations:
        findings += check_migration(migration, baseline=project.in_baseline(migration.version))
    findings += check_after(project)
    findings += check_repeatables(project.repeatables)
    findings += conflicts(project.migrations, history_schema)
    if fix:
        # Writing the sums anew fixes what is wrong with them.
        findings = [finding for finding in findings if finding.file != FILE]
        findings += _fix(project, directory, database_url, history_schema, out)
    elif all(finding.file != FILE for finding in findings):
        # What is wrong with a file, or with its pair, keeps it out of the project.
        unread = {path for path in project.sums or () if findings and (directory / path).is_file()}
        findings += compare(project, unread=unread - set(project.ignored))
    notes += [f"{path} is left out by [ignore] in {SETTINGS}" for path in project.ignored]
    if prisma:
        # A process of Node, for those who ask for it.
        from turnback.local.prisma import Prisma

        team = Prisma.of_project(directory)
        findings += team.faults() if team else []
    for text in notes:
        out.note(f"note: {text}")
    out.document |= {
        "migrations": len(project.migrations),
        "repeatables": len(project.repeatables),
        "findings": [finding.to_dict() for finding in findings],
        "notes": notes,
    }
    annotated = Annotations.of_errors("check", findings, folder_of(directory))
    annotated.print(form, out)
    if not findings:
        out.document["status"] = "ok"
        also = f", {counted(len(project.repeatables), 'repeatable')}" if project.repeatables else ""
        out.result(f"{counted(len(project.migrations), 'migration')}{also}: nothing found.")
        return 0
    out.document["status"] = "findings"
    for finding in findings:
        out.result(located(finding))
        for line in snippet(finding):
            out.result(line)
        if finding.hint:
            out.result(f"    {finding.hint}")
    out.note(f"{counted(len(findings), 'finding')}.")
    return CheckFailed.exit_code


def _fix(
    project: Project, directory: Path, url: str | None, schema: str, out: Output
) -> list[TurnbackError]:
    """Rewrite SHA256SUMS, unless an applied file would be changed by that."""
    blocked: list[TurnbackError] = []
    if url or has_own_database(directory):
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
    sums = checksums_of(project)
    if sums != project.sums:
        write_sums(directory, sums)
        out.note(f"{FILE} rewritten: {counted(len(sums), 'file')}.")
    return []
