"""``generate --from-prisma``: the next migration from ``schema.prisma``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from turnback.cli.lint import document, human
from turnback.cli.output import Output, may_ask
from turnback.cli.prisma_options import FromPrisma
from turnback.cli.rehearse import open_shadow
from turnback.cli.rehearsed import Progress, close
from turnback.engine.session.events import silent
from turnback.errors import ConfigurationError
from turnback.local.prisma import Prisma, candidates
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.layouts.layout import Scripts
from turnback.migrations.model import Project, Script
from turnback.migrations.scaffold import new_migration
from turnback.rehearsal import proof
from turnback.rehearsal.database import ShadowDatabase
from turnback.rehearsal.derive import Derived, derive
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.stored import Chosen
from turnback.sql.destroys import Judge
from turnback.sql.lint.linter import lint
from turnback.sql.renames import Rename

# Prisma compares all tables of a schema: turnback's own are in another one.
_HISTORY = "turnback_history"


def write_from_prisma(
    directory: Path, names: Sequence[str], asked: FromPrisma, out: Output, *, timestamp: bool
) -> int:
    """Write the migration from the state of the files to Prisma's schema, and rehearse it.

    Args:
        names: that of the migration; with ``--check`` there is none.

    Returns:
        The exit code: 3 if its rollback is not proven, or there is something to write.

    Raises:
        ConfigurationError: Prisma refuses the schema, or is not installed; something may have been
            renamed, and nobody can be asked; the migration would destroy data.
        TurnbackError: a migration of the folder does not run on the shadow database.
    """
    project, findings = scan(directory)
    for error in findings:
        raise error
    schema = asked.schema or next(
        (path for path in candidates(directory) if path.exists()), Path("prisma/schema.prisma")
    )
    prisma = Prisma.find(schema, asked.prisma)
    prisma.prepare()
    renamed = _Renames(asked, out)
    began = time.monotonic()
    chosen = Chosen(project, (), _HISTORY)
    with open_shadow(asked.shadow_url, chosen, None, out, anew=True) as shadow:
        with ShadowDatabase(project, shadow, _HISTORY, silent) as database:
            for error in database.build(database.before(None)):
                raise error
            out.status.show("comparing with Prisma's schema")
            url = _url(database)
            decide = (lambda _: []) if asked.checks else renamed.decide
            derived = derive(prisma, database, url, decide, qualified=prisma.qualified)
        out.status.clear()
        renamed.refuse_unknown()
        if derived is None:
            out.document |= {"status": "nothing_to_do", "files": []}
            out.result(f"The migrations make what {schema} says: there is nothing to write.")
            return 0
        if asked.checks:
            out.document |= {"status": "findings", "files": []}
            out.result(derived.forward.strip())
            out.note(f"{schema} has what no migration makes: turnback generate NAME --from-prisma")
            return 3
        losses = _losses(project, derived)
        if losses and not asked.allow_destroy:
            raise ConfigurationError(
                f"the migration would destroy data: {'; '.join(losses)}",
                hint="nothing was written; --allow-destroy writes it, and --rename old=new keeps "
                "the values of what was renamed",
            )
        scripts = Scripts(derived.forward, derived.rollback)
        version, files = new_migration(directory, names[0], timestamp=timestamp, scripts=scripts)
        for path in files:
            out.result(f"  made {directory / path}")
        out.document |= {
            "status": "succeeded",
            "version": version,
            "files": files,
            "renamed": [one.text for one in derived.renamed],
            "destroys": losses,
        }
        for text in losses:
            out.warn(f"destroys {text}")
        return _rehearse(load_project(directory), version, shadow, began, out)


def _rehearse(project: Project, version: str, shadow: Shadow, began: float, out: Output) -> int:
    shown = Progress(out, began)
    result = proof.rehearse(
        project,
        project.choose([version]),
        shadow,
        history_schema=_HISTORY,
        listener=shown.verdict,
        progress=shown.event,
    )
    found = lint(project, [version])
    for line in human(found) if found.findings else ():
        out.result(line)
    out.document |= {"rehearsal": result.to_dict(), "lint": document(found)["findings"]}
    code = close(result, began, out)
    if any(one.rule.id == "TB301" for one in found.findings):
        out.note("In Prisma's schema an index is @@index([…]): the next migration drops others.")
    if result.proven and found.fails():
        out.result(
            "Next: change it, or waive what lint has found, then turnback check --fix; commit it "
            "with the schema, then turnback up"
        )
    elif result.proven:
        out.result("Next: read it, commit it with the schema, then turnback up")
    else:
        out.result("Next: correct it, turnback check --fix, then turnback rehearse")
    return code


class _Renames:
    """Finds out what was renamed: from ``--rename``, or by asking."""

    def __init__(self, asked: FromPrisma, out: Output) -> None:
        self._asked = asked
        self._out = out
        self._left = list(dict.fromkeys(asked.given))
        self._not_renamed: set[Rename] = set()
        # A table's new name → its old one, by which its columns may be named.
        self._tables: dict[tuple[str, ...], str] = {}

    def decide(self, found: list[Rename]) -> list[Rename]:
        """Of what may have been renamed, what was."""
        chosen = [one for one in found if set(self._names(one)) & set(self._left)]
        for one in chosen:
            self._left = [text for text in self._left if text not in self._names(one)]
        if not chosen and not self._asked.no_renames:
            chosen = self._ask([one for one in found if one.likely])
        for one in chosen:
            if one.kind in ("table", "type"):
                self._tables[(*one.owner, one.new)] = one.old
        return chosen

    def refuse_unknown(self) -> None:
        """Refuse a ``--rename`` of what is not dropped, or to what is not added."""
        if self._left:
            raise ConfigurationError(
                f"--rename {self._left[0]}: the schema does not drop the one and add the other",
                hint="write table.column=new or table=new, with the names of the database, as "
                "@map and @@map have them",
            )

    def _names(self, one: Rename) -> list[str]:
        old = self._tables.get(one.owner)
        return (
            [one.text, f"{'.'.join((*one.owner[:-1], old, one.old))}={one.new}"]
            if old
            else [one.text]
        )

    def _ask(self, likely: Sequence[Rename]) -> list[Rename]:
        open_ones = [one for one in likely if one not in self._not_renamed]
        if open_ones and not may_ask(self._out.as_json):
            options = ", ".join(f"--rename '{one.text}'" for one in open_ones)
            raise ConfigurationError(
                "what is dropped here may have been renamed, and nobody can be asked: "
                f"{', '.join(one.text for one in open_ones)}",
                hint=f"nothing was written; give those that are renames: {options}; or, if none "
                "is, --no-renames",
            )
        chosen: list[Rename] = []
        self._out.status.clear()
        for one in open_ones:
            taken = [(other.kind, other.owner) for other in chosen if _share(one, other)]
            if taken:
                continue
            name = ".".join((*one.owner, one.old))
            question = f"Was the {one.kind} {name} renamed to {one.new}?"
            if click.confirm(f"{question} If not, it is dropped", err=True):
                chosen.append(one)
            else:
                self._not_renamed.add(one)
        return chosen


def _share(one: Rename, other: Rename) -> bool:
    """Whether both are about the same old name, or the same new one."""
    return (one.kind, one.owner) == (other.kind, other.owner) and (
        one.old == other.old or one.new == other.new
    )


def _losses(project: Project, derived: Derived) -> list[str]:
    """What the migration destroys, each with the line that does it."""
    judge = Judge()
    for migration in project.migrations:
        judge.learn(migration.forward)
    script = Script("migration", derived.forward, "")
    lines = derived.forward.splitlines()
    found = [
        f"{loss.words} ({lines[loss.line - 1].strip(' ,;')})"
        for loss in judge.losses(script)
        if loss.is_data
    ]
    return [*found, *(f"enum value {value}" for value in derived.lost_values)]


def _url(database: ShadowDatabase) -> str:
    info = database.connection.info
    return f"{info.dsn} password={info.password}" if info.password else info.dsn
