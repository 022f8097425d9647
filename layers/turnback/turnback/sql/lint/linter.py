"""Lint: every rule over every script asked for, with the chain of scripts behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from turnback.errors import UnknownVersion
from turnback.migrations.model import Migration, Project, Script
from turnback.sql.lint.model import Finding, Report, in_order
from turnback.sql.lint.rules.application import Uses, drops_what_was_used, uses
from turnback.sql.lint.rules.data import data_rules
from turnback.sql.lint.rules.indexes import foreign_keys_without_index, index_rules
from turnback.sql.lint.rules.rewrites import rewrite_rules
from turnback.sql.lint.rules.rollback import empty_rollback
from turnback.sql.lint.rules.scans import scan_rules
from turnback.sql.lint.rules.transaction import transaction_rules
from turnback.sql.lint.schema import Schema
from turnback.sql.lint.squawk import hits
from turnback.sql.lint.squawk_rules import TAKEN
from turnback.sql.lint.step import Step, steps
from turnback.sql.lint.taken import taken
from turnback.sql.lint.waivers import waive


@dataclass(slots=True)
class _Reading:
    """A script that is looked at, and what is found in it."""

    script: Script
    steps: Sequence[Step]
    readable: bool
    findings: list[Finding] = field(default_factory=list)


def lint(project: Project, versions: Sequence[str] = (), *, since: str | None = None) -> Report:
    """What the rules find.

    Every forward script is read, oldest first, so that the schema each one meets is known; the
    findings are those of the migrations asked for, both directions.

    Args:
        versions: look at these; all of them if empty.
        since: look at those after this version, as one release: a table that one of them makes
            is new to all of them. ``0`` is before the first.

    Raises:
        UnknownVersion: no such migration.
        ConfigurationError: squawk is not installed.
    """
    wanted = _wanted(project, versions, since)
    release = frozenset(m.forward.path for m in wanted) if since is not None else frozenset[str]()
    numbers = {migration.number for migration in wanted}
    schema = Schema()
    readings: list[_Reading] = []
    before: list[tuple[str, Uses]] = []
    for migration in project.migrations:
        forward, schema, unreadable = steps(migration.forward, schema, fresh=release)
        if migration.number in numbers:
            reading = _Reading(migration.forward, forward, unreadable is None)
            reading.findings += [unreadable] if unreadable else _in_script(forward)
            for step in forward:
                reading.findings += drops_what_was_used(step, before)
            readings.append(reading)
            readings += _way_back(migration, forward, schema, release)
        # With a release named, all of it stands together; without, the file right before does.
        before = before if since is not None and migration.number in numbers else []
        before = [*before, (migration.forward.path, uses(forward))]
    for reading in readings:
        if reading.steps and not reading.steps[0].scene.is_rollback:
            for step in reading.steps:
                reading.findings += foreign_keys_without_index(step, schema)
    _ask_squawk(readings)
    return _report(len(wanted), readings)


def _wanted(project: Project, versions: Sequence[str], since: str | None) -> list[Migration]:
    for version in [*versions, *([since] if since is not None else [])]:
        if project.find(version) is None and not (version == since and int(version) == 0):
            raise UnknownVersion(
                f"there is no migration {version}",
                version=version,
                hint="the versions there are: turnback check, or the names of the files in sql/",
            )
    chosen = {int(version) for version in versions}
    return [
        migration
        for migration in project.migrations
        if (not chosen or migration.number in chosen)
        and (since is None or migration.number > int(since))
    ]


def _in_script(found: Sequence[Step]) -> Iterator[Finding]:
    for step in found:
        yield from index_rules(step)
        yield from scan_rules(step)
        yield from rewrite_rules(step)
        yield from data_rules(step)
    yield from transaction_rules(found)


def _way_back(
    migration: Migration, forward: Sequence[Step], schema: Schema, release: frozenset[str]
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


def _ask_squawk(readings: Sequence[_Reading]) -> None:
    readable = [reading for reading in readings if reading.steps]
    for hit in hits([reading.script for reading in readable]):
        if rule := TAKEN.get(hit.rule):
            reading = readable[hit.script]
            reading.findings += taken(rule, hit.offset, reading.steps)


def _report(migrations: int, readings: Iterable[_Reading]) -> Report:
    left, waived = list[Finding](), list[Finding]()
    for reading in readings:
        kept, off = waive(
            reading.script, reading.steps, in_order(reading.findings), readable=reading.readable
        )
        left += kept
        waived += off
    return Report(migrations, in_order(left), in_order(waived))
