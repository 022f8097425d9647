"""Lint: every rule over every script asked for, with the chain of scripts behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from turnback.errors import TurnbackError, UnknownVersion
from turnback.migrations.model import Migration, Project, Script, Waiver
from turnback.migrations.versions import BEFORE_FIRST, key
from turnback.sql.destroys import Judge, Loss
from turnback.sql.lint.model import RULES, Finding, Report, Rule, in_order, known
from turnback.sql.lint.rules.columns import column_rules
from turnback.sql.lint.rules.data import data_rules
from turnback.sql.lint.rules.design import design_rules
from turnback.sql.lint.rules.drops import Uses, drop_rules, uses
from turnback.sql.lint.rules.indexes import foreign_keys_without_index, index_rules
from turnback.sql.lint.rules.names import name_rules
from turnback.sql.lint.rules.newer import newer_rules
from turnback.sql.lint.rules.partitions import partition_rules
from turnback.sql.lint.rules.refused import refused_rules
from turnback.sql.lint.rules.renames import rename_rules
from turnback.sql.lint.rules.rewrites import rewrite_rules
from turnback.sql.lint.rules.rollback import empty_rollback
from turnback.sql.lint.rules.scans import scan_rules
from turnback.sql.lint.rules.security import row_security_rules, security_rules
from turnback.sql.lint.rules.swaps import swap_rules
from turnback.sql.lint.rules.transaction import transaction_rules
from turnback.sql.lint.step import LintStep, ScriptContext, steps
from turnback.sql.repeatable.order import in_order as order
from turnback.sql.tables import Schema
from turnback.sql.tree import writes_rows


@dataclass(slots=True)
class _Reading:
    """A script that is looked at, and what is found in it."""

    script: Script
    steps: Sequence[LintStep]
    readable: bool
    findings: list[Finding] = field(default_factory=list)


def lint(
    project: Project,
    versions: Sequence[str] = (),
    *,
    since: str | None = None,
    server: int | None = None,
) -> Report:
    """What the rules find.

    Every forward script is read, oldest first, so that the schema each one meets is known; the
    findings are those of the migrations asked for, both directions, and of the repeatables where
    no version is named.

    Args:
        versions: look at these; all of them after the baseline if empty.
        since: look at those after this version, as one release: a table that one of them makes
            is new to all of them. ``0`` is before the first.
        server: the major version of the target's PostgreSQL, if it is known.

    Raises:
        UnknownVersion: no such migration.
    """
    wanted = _wanted(project, versions, since)
    release = frozenset(m.forward.path for m in wanted) if since is not None else frozenset[str]()
    keys = {migration.key for migration in wanted}
    schema = Schema()
    readings: list[_Reading] = []
    alone: list[Finding] = []
    before: list[tuple[str, Uses]] = []
    judge, unread = Judge(), list[Script]()
    for migration in project.migrations:
        forward, schema, unreadable = steps(migration.forward, schema, fresh=release)
        if migration.key in keys:
            reading = _Reading(migration.forward, forward, unreadable is None)
            reading.findings += [unreadable] if unreadable else _in_script(forward)
            losses: list[Loss] = []
            if any(map(_may_drop_unseen, forward)):
                while unread:
                    judge.learn(unread.pop(0))
                losses = judge.fork().losses(migration.forward)
            reading.findings += drop_rules(forward, losses, before)
            if since is not None and unreadable is None:
                alone += _in_script([step.alone() for step in forward])
            readings.append(reading)
            readings += _rollback_script(migration, forward, schema, release)
        # With a release named, all of it stands together; without, the file right before does.
        before = before if since is not None and migration.key in keys else []
        before = [*before, (migration.forward.path, uses(forward))]
        unread.append(migration.forward)
    for repeatable in () if versions else _applied_in_order(project.repeatables):
        forward, schema, unreadable = steps(repeatable.forward, schema, fresh=release)
        reading = _Reading(repeatable.forward, forward, unreadable is None)
        reading.findings += [unreadable] if unreadable else _in_script(forward)
        readings.append(reading)
    for reading in readings:
        if reading.steps and not reading.steps[0].context.is_rollback:
            reading.findings += row_security_rules(reading.steps, schema)
            reading.findings += design_rules(reading.steps, schema)
            for step in reading.steps:
                reading.findings += foreign_keys_without_index(step, schema)
                reading.findings += security_rules(step, schema)
    for reading in readings if server else ():
        for step in reading.steps:
            reading.findings += newer_rules(step, server or 0)
    report = _report(len(wanted), readings)
    known_ones = {*report.findings, *report.waived}
    return replace(report, on_new_tables=in_order(one for one in alone if one not in known_ones))


def _applied_in_order(repeatables: Sequence[Migration]) -> Sequence[Migration]:
    """The repeatables as a run applies them; as they are where a run would refuse them."""
    try:
        return order(repeatables)
    except TurnbackError:
        return repeatables


def _may_drop_unseen(step: LintStep) -> bool:
    """Whether the statement may drop what it does not name: the judge of loss takes its time."""
    if step.kind in ("DoStmt", "CallStmt", "DropOwnedStmt", "ExecuteStmt"):
        return True
    return step.tree.get("behavior") == "DROP_CASCADE" or (
        step.kind == "SelectStmt" and writes_rows(step.statement)
    )


def _wanted(project: Project, versions: Sequence[str], since: str | None) -> list[Migration]:
    first = since is not None and key(since) == BEFORE_FIRST
    for version in [*versions, *([since] if since is not None and not first else [])]:
        if project.find(version) is None:
            raise UnknownVersion(
                f"there is no migration {version}",
                version=version,
                hint="the versions there are: turnback check, or the names of the files in sql/",
            )
    chosen = {key(version) for version in versions}
    # The rules are for what comes after the baseline, unless somebody asks for it.
    after = 0 if versions or first else project.baseline
    if since is not None and not first:
        after = len(project.before(since)) + 1
    return [one for one in project.migrations[after:] if not chosen or one.key in chosen]


def _in_script(found: Sequence[LintStep]) -> Iterator[Finding]:
    for step in found:
        yield from name_rules(step)
        yield from refused_rules(step)
        # A block is judged by the statements in it.
        for one in step.inside or (step,):
            yield from index_rules(one)
            yield from scan_rules(one)
            yield from rewrite_rules(one)
            yield from partition_rules(one)
            yield from data_rules(one)
            yield from column_rules(one)
    yield from rename_rules(found)
    yield from swap_rules(found)
    yield from transaction_rules(found)


def _rollback_script(
    migration: Migration, forward: Sequence[LintStep], schema: Schema, release: frozenset[str]
) -> Iterable[_Reading]:
    """The rollback script, as the migration leaves the schema: the tables it made are new."""
    if migration.rollback is None:
        return
    fresh = release | {migration.forward.path}
    backward, _, unreadable = steps(migration.rollback, schema, is_rollback=True, fresh=fresh)
    reading = _Reading(migration.rollback, backward, unreadable is None)
    if unreadable:
        reading.findings.append(unreadable)
    else:
        reading.findings += _in_script(backward)
        reading.findings += empty_rollback(migration, forward, backward)
    yield reading


def _report(migrations: int, readings: Iterable[_Reading]) -> Report:
    left, waived = list[Finding](), list[Finding]()
    for reading in readings:
        kept, off = waive(
            reading.script, reading.steps, in_order(reading.findings), readable=reading.readable
        )
        left += _merged(reading.steps, kept)
        waived += off
    return Report(migrations, in_order(left), in_order(waived))


def _merged(steps: Sequence[LintStep], findings: Sequence[Finding]) -> list[Finding]:
    """Without TB203 of a statement of which TB202 says the same, and more."""
    spans = [(step.statement.offset, step.statement.end) for step in steps]
    locked = [
        (start, end)
        for start, end in spans
        if any(one.rule.id == "TB202" and start <= one.offset <= end for one in findings)
    ]
    return [
        one
        for one in findings
        if one.rule.id != "TB203" or not any(start <= one.offset <= end for start, end in locked)
    ]


def waive(
    script: Script, found: Sequence[LintStep], findings: Iterable[Finding], *, readable: bool
) -> tuple[list[Finding], list[Finding]]:
    """What is left of a script's findings, and what its waivers switch off.

    A waiver is for the statement that follows it. In the header, where the rule finds nothing in
    the first statement, it is for the whole file. One that switches nothing off is a finding, and
    so is one of a rule that does not exist.

    Args:
        found: the script's statements.
        readable: whether the rules could look at them.
    """
    left, waived = list(findings), list[Finding]()
    context = ScriptContext(script, True, False, frozenset())
    for waiver in script.directives.waivers:
        rule = known(waiver.rule)
        if rule is None or not rule.waivable:
            left.append(_unknown(context, waiver, rule))
            continue
        covered = _covered(script, found, waiver, [f for f in left if f.rule is rule])
        if not covered and readable:
            left.append(_unused(context, waiver, rule))
        waived += covered
        left = [finding for finding in left if finding not in covered]
    return left, waived


def _covered(
    script: Script, found: Sequence[LintStep], waiver: Waiver, of_rule: list[Finding]
) -> list[Finding]:
    if not found:
        return of_rule
    for step in found:
        begins = script.position(step.statement.offset)[0]
        ends = script.position(step.statement.end)[0]
        if ends < waiver.line:
            continue
        here = [f for f in of_rule if step.statement.offset <= f.offset <= step.statement.end]
        in_header = step is found[0] and waiver.line < begins
        return here if here or not in_header else of_rule
    return []


def _unknown(context: ScriptContext, waiver: Waiver, rule: Rule | None) -> Finding:
    what = f"There is no rule {waiver.rule}" if rule is None else f"{rule.id} cannot be waived"
    return context.finding(
        "TB903",
        _start(context.script, waiver.line),
        f"{what}.",
        why="The waiver switches nothing off: what it was meant for is reported, or passes by "
        "chance.",
        safer=f"-- the rules: {', '.join(rule.id for rule in RULES.values() if rule.waivable)}",
    )


def _unused(context: ScriptContext, waiver: Waiver, rule: Rule) -> Finding:
    return context.finding(
        "TB902",
        _start(context.script, waiver.line),
        f"{rule.id} finds nothing here to waive.",
        why="What it was for has gone, or stands elsewhere. Left where it is, it would hide the "
        "next one.",
        safer="-- delete the line, or put it right before its statement",
    )


def _start(script: Script, line: int) -> int:
    return sum(map(len, script.sql.splitlines(keepends=True)[: line - 1]))
