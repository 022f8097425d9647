"""What a run does with repeatables: which are applied, and how they go back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from turnback.engine.look import repeatables as stored
from turnback.engine.look.history import Entry, History
from turnback.engine.look.repeatables import Application, Texts
from turnback.engine.look.status import renamed
from turnback.engine.run.plan import Plan, Repeat, Step, refuse_template, step_up
from turnback.engine.run.record import FOUND
from turnback.errors import HistoryConflict, RollbackMissing
from turnback.migrations.checksums import digest
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Migration, Project, Script
from turnback.sql.quoting import literal
from turnback.sql.repeatable.content import read
from turnback.sql.repeatable.found import is_undo_of, text_of_found
from turnback.sql.repeatable.order import in_order
from turnback.sql.repeatable.undo import settings_of, undo
from turnback.sql.script import prepare
from turnback.sql.statements import Statement
from turnback.sql.tree import commands, dropped, table_name

_BOM = "\ufeff"
_CONFLICT = "turnback status shows what is applied; run it again"


def added_to(plan: Plan, project: Project, history: History) -> Plan:
    """A plan upwards, with the repeatables whose text is not the one that is applied.

    Raises as ``steps_up`` does, and:
        HistoryConflict: the history has another text than it says.
    """
    entries = {entry.version: entry for entry in stored.read(history) if entry.applied}
    steps, notes = steps_up(
        project,
        [step.migration for step in plan.steps],
        {version: entry.checksum for version, entry in entries.items()},
        lambda versions: _texts_before(history, entries, [v for v in versions if v in entries]),
    )
    return replace(plan, steps=(*plan.steps, *steps), notes=(*plan.notes, *notes))


def steps_up(
    project: Project,
    migrations: Iterable[Migration] = (),
    applied: Mapping[str, str] = MappingProxyType({}),
    texts: Callable[[Sequence[str]], Mapping[str, Script]] = lambda _: {},
) -> tuple[list[Step], list[str]]:
    """The repeatables to apply, each after those that it needs, and notes about them.

    One whose text is applied already is applied again where a migration drops what it makes or
    uses.

    Args:
        project: the files.
        migrations: those that come before them.
        applied: version → the checksum of what is applied.
        texts: returns the texts of these versions, of those that are applied.

    Raises:
        InvalidMigration: one cannot be run, or some need each other in a circle.
        RollbackMissing: what undoes one is not known.
    """
    gone = frozenset(itertools.chain(*map(_dropped, migrations))) if applied else frozenset()
    chosen, again = list[Migration](), set[str]()
    for repeatable in project.repeatables:
        checksum = applied.get(repeatable.version)
        if gone and checksum and _uses(repeatable, gone):
            again.add(repeatable.version)
        elif checksum == repeatable.forward.checksum:
            continue
        chosen.append(repeatable)
    # A file with a new name takes the place of the one that is gone.
    old = {now: before for before, now in renamed(project, applied).items()}
    before = texts([old.get(one.version, one.version) for one in chosen])
    steps, notes = list[Step](), list[str]()
    for repeatable in in_order(chosen):
        refuse_template(repeatable.forward, repeatable.version)
        text = before.get(old.get(repeatable.version, repeatable.version))
        # What a migration has dropped is not there when this is applied.
        earlier = None if repeatable.version in again else text
        ready = with_undo(repeatable, earlier)
        repeat = Repeat(applied.get(repeatable.version), repeatable.forward.checksum)
        first = first_time(ready) if earlier is None and not repeatable.rollback else ()
        steps.append(replace(step_up(ready), repeat=repeat, first=first))
        notes += _no_longer_made(ready, text) if text else ()
    return steps, notes


def changed(
    project: Project, migrations: Iterable[Migration], applied: Sequence[Migration]
) -> list[Migration]:
    """The repeatables that a run applies after these migrations, with what undoes them.

    Args:
        project: the files.
        migrations: those that come before them.
        applied: what is applied, as of ``in_force``.

    Raises as ``steps_up`` does.
    """
    texts = {one.version: one.forward for one in applied}
    checksums = {version: text.checksum for version, text in texts.items()}
    steps, _ = steps_up(project, migrations, checksums, lambda _: texts)
    return [step.migration for step in steps]


def _no_longer_made(repeatable: Migration, before: Script) -> Iterator[str]:
    made = read(repeatable.forward).made
    for name in sorted({item.name for item in read(before).made.keys() - made.keys()}):
        yield (
            f"{repeatable.version} no longer makes {name}, which remains: drop it in a migration"
        )


def with_undo(repeatable: Migration, before: Script | None) -> Migration:
    """The repeatable with the rollback script that brings back what was before it.

    Raises:
        RollbackMissing: what undoes it is not known.
        InvalidMigration: a script cannot be run.
    """
    sql = undo(repeatable, before)
    if sql is None:
        return replace(repeatable, rollback=None)
    return replace(repeatable, rollback=_script(f"{repeatable.version} (before)", sql))


def first_time(repeatable: Migration) -> tuple[str, ...]:
    """Statements that note, before its first text runs, what undoes it: what is there, or a drop.

    Migrations of the same run may have made what it replaces.
    """
    text = text_of_found(repeatable.forward)
    if text is None:
        return ()
    settings = (f"{sql};" for sql in settings_of(read(repeatable.forward)))
    noted = f"SELECT pg_catalog.set_config({literal(FOUND)}, {text}, true);"
    return (*settings, noted)


def undone_with(
    plan: Plan,
    history: History,
    entries: Sequence[Entry],
    run: str | None,
    project: Project | None = None,
    row: int | None = None,
) -> Plan:
    """A plan downwards, with the repeatables that were applied after what it rolls back.

    They go back in the reverse of the order in which everything was applied, so that each text
    meets the tables that it was written for.

    Args:
        plan: the migrations.
        history: the history.
        entries: its rows about repeatables.
        run: take only what this run has applied last; None for what any run has applied since.
        project: the files that it was applied from, where these can be trusted more: the plan's
            notes name what is stored and does not follow from them, and is not used.
        row: of the log, after which all of them go back; without it, those that were applied after
            the first of the migrations.

    Raises:
        RollbackMissing: nothing brings back what was before one of them.
        HistoryConflict: the history has another text than it says.
    """
    whole = [step for step in plan.steps if not step.half]
    places = stored.last_applied(history, [step.version for step in whole])
    stacks = stored.applications(history, [entry.version for entry in entries if entry.applied])
    if run is None:
        first = min((places.get(step.version, 0) for step in whole), default=None)
        lowest = first if row is None else row
        chosen = [
            [one for one in stack if lowest is not None and one.id > lowest]
            for stack in stacks.values()
        ]
    else:
        chosen = [_last_of(run, stack) for stack in stacks.values()]
    undone = sorted(itertools.chain(*chosen), key=lambda one: one.id, reverse=True)
    if not undone:
        return plan
    notes = list[str]()
    of = _steps_down(history, entries, stacks, undone, project, notes)
    merged = [step for step in plan.steps if step.half]
    for step in whole:
        while undone and undone[0].id > places.get(step.version, 0):
            merged.append(of[undone.pop(0).id])
        merged.append(step)
    steps = (*merged, *(of[one.id] for one in undone))
    return replace(plan, steps=steps, notes=(*plan.notes, *notes))


def _last_of(run: str, stack: list[Application]) -> list[Application]:
    return list(itertools.takewhile(lambda one: one.run == run, reversed(stack)))


def _steps_down(
    history: History,
    entries: Iterable[Entry],
    stacks: Mapping[str, list[Application]],
    chosen: Sequence[Application],
    project: Project | None,
    notes: list[str],
) -> dict[int, Step]:
    """The id of a row of the log → the step that brings back what was before it."""
    rows = {entry.version: entry for entry in entries}
    versions = {one.version for one in chosen}
    known = stored.texts(history, (one for version in versions for one in stacks[version]))
    found = {}
    for version in versions:
        entry, stack = rows[version], stacks[version]
        file = project.find(version) if project else None
        _require(version, known[stack[-1].id].script, entry.checksum)
        before: Script | None = None
        for one in stack:
            text = known[one.id]
            checksum = entry.checksum if one is stack[-1] else _checksum(text.script)
            applied = Script(version, text.script or "", checksum)
            if one in chosen:
                undo = _undo_of(version, text, file, before, notes)
                migration = Migration(version, entry.name, applied, undo, kind="repeatable")
                repeat = Repeat(checksum, before.checksum if before else None)
                found[one.id] = Step(migration, "down", prepare(undo), repeat=repeat)
            before = applied
    return found


def _undo_of(
    version: str, text: Texts, file: Migration | None, before: Script | None, notes: list[str]
) -> Script:
    """What brings back what was before: as it is stored, if that follows from the file."""
    if file is not None:
        own, first = with_undo(file, before).rollback, with_undo(file, None).rollback
        follows = text.undo in [one.sql for one in (own, first) if one]
        if text.undo and before is None and not follows:
            follows = is_undo_of(_script(version, text.undo), file.forward)
        if own is not None and not follows:
            notes.append(
                f"what undoes {version} is stored in the database as something that does not "
                f"follow from the file of the release (SHA-256 {_checksum(text.undo)}): the "
                "release's was used; find out who changed migration_log"
            )
            return own
    if text.undo is None:
        raise RollbackMissing(
            f"nothing brings back what was before {version}: its file says that it is irreversible",
            version=version,
            hint="write a migration that does, or restore a snapshot",
        )
    return _script(text.path or version, text.undo)


def remaining(steps: Sequence[Step], history: History) -> list[Step]:
    """The steps without those of repeatables that another run did since the plan was made.

    Raises:
        HistoryConflict: another run has applied another text.
    """
    now = {e.version: e.checksum if e.applied else None for e in stored.read(history)}
    left = []
    for step in steps:
        if step.repeat is None:
            left.append(step)
            continue
        current = now.get(step.version)
        if current == step.repeat.before:
            left.append(step)
        elif current != step.repeat.after:
            raise HistoryConflict(
                f"another run has applied another text of {step.version} meanwhile",
                file=step.runnable.script.path,
                version=step.version,
                hint=_CONFLICT,
            )
        now[step.version] = step.repeat.after
    return left


def in_force(history: History) -> list[Migration]:
    """The repeatables that are applied, with their text, in the order in which they were.

    Raises:
        HistoryConflict: the history has another text than it says.
    """
    entries = {entry.version: entry for entry in stored.read(history) if entry.applied}
    found = _texts_before(history, entries, list(entries))
    return [
        Migration(version, entry.name, found[version], kind="repeatable")
        for version, entry in entries.items()
    ]


def _texts_before(
    history: History, entries: Mapping[str, Entry], versions: Sequence[str]
) -> dict[str, Script]:
    """Version → the text that is applied."""
    last = {
        version: stack[-1]
        for version, stack in stored.applications(history, versions).items()
        if stack
    }
    known = stored.texts(history, last.values())
    found = {}
    for version in versions:
        text = known[last[version].id].script if version in last else None
        _require(version, text, entries[version].checksum)
        found[version] = Script(
            version, text or "", entries[version].checksum, read_directives(version, text or "")
        )
    return found


def _require(version: str, text: str | None, checksum: str) -> None:
    """Refuse a stored text that is not the one of the recorded checksum."""
    if text is None or checksum not in (_checksum(text), _checksum(_BOM + text)):
        raise HistoryConflict(
            f"the text of {version} that is stored in the log is not the one of its checksum in "
            "the history",
            version=version,
            hint="find out who changed migration_log: turnback health shows who may write to it",
        )


def _checksum(text: str | None) -> str:
    return digest((text or "").encode())


def _script(path: str, sql: str) -> Script:
    return Script(path, sql, _checksum(sql), read_directives(path, sql, rollback=True))


def _dropped(migration: Migration) -> Iterator[str]:
    """The names of what a migration drops."""
    for statement in prepare(migration.forward).statements or ():
        yield from _drops(statement)


def _drops(statement: Statement) -> Iterator[str]:
    if statement.kind == "DropStmt":
        yield from (item.name for item in dropped(statement.tree))
    elif statement.kind == "AlterTableStmt" and any(
        command.get("behavior") == "DROP_CASCADE" for command in commands(statement.tree)
    ):
        yield table_name(statement.tree["relation"])


def _uses(repeatable: Migration, names: frozenset[str]) -> bool:
    content = read(repeatable.forward)
    return not names.isdisjoint(content.names | content.needs)
