"""What a rollback has dropped of the migrations before it, found by looking before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnback.engine import Engine
from turnback.errors import TurnbackError, VerificationFailed
from turnback.migrations.model import Migration, Project
from turnback.schema.model import Fingerprint, relation_of, split
from turnback.schema.read import fingerprint
from turnback.sql.bulk import statements_of
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.quoting import printed
from turnback.sql.scope import Scope
from turnback.sql.tree import makes
from turnback.wording import listed

_LISTED = 5


def schema_now(engine: Engine) -> Fingerprint | None:
    """The schema as it is; None where it cannot be read, which keeps nobody from a rollback."""
    try:
        return fingerprint(engine.connection, history_schema=engine.history.schema)
    except TurnbackError:
        return None


def lost_with_rollback(
    engine: Engine, project: Project, before: Fingerprint
) -> VerificationFailed | None:
    """The error that names what a rollback has dropped of migrations that are still applied.

    Args:
        engine: of the database that was rolled back.
        project: whose files say which migration has made what.
        before: the schema before the rollback.
    """
    after = schema_now(engine)
    if after is None:
        return None
    applied = {entry.key for entry in engine.entries() if entry.applied}
    earlier = [one for one in project.migrations if one.key in applied]
    lost = [f"{printed(thing)} of {by}" for thing, by in dropped(before, after, earlier)]
    if not lost:
        return None
    return VerificationFailed(
        "the rollback has also dropped what migrations before it have made: "
        + listed(lost, _LISTED),
        hint="the history says that these are applied, and a part of them is gone: restore a "
        "snapshot, or make it again by hand; then correct the rollback script",
    )


def dropped(
    before: Fingerprint, after: Fingerprint, earlier: Iterable[Migration]
) -> Iterator[tuple[str, str]]:
    """Each object that is gone and that an earlier migration has made, with its version.

    What code has made, such as a DO block, is not known by its migration. With a table goes what
    belongs to it.

    Args:
        before: the schema before the rollback.
        after: the one after it.
        earlier: the migrations that are still applied, oldest first.
    """
    gone = sorted(set(before.objects) - set(after.objects))
    owners = {thing: relation_of(thing, before.objects[thing]) for thing in gone}
    whole = {split(thing)[1] for thing in gone if owners[thing] is None}
    gone = [thing for thing in gone if owners[thing] not in whole]
    makers = _makers(earlier) if gone else {}
    for thing in gone:
        if version := makers.get(_plain(split(thing)[1])):
            yield thing, version


def _makers(migrations: Iterable[Migration]) -> dict[str, str]:
    """The version that has made each name last."""
    found: dict[str, str] = {}
    scope = Scope()
    for migration in migrations:
        scope.begin_script()
        try:
            for statement in statements_of(migration.forward):
                qualified = scope.qualified(statement)
                found |= dict.fromkeys(map(_plain, makes(qualified)), migration.version)
                scope.after(qualified, migration.forward.path)
        except SqlSyntaxError:
            continue
    return found


def _plain(name: str) -> str:
    """A name without quotes, arguments and the schema public, as scripts have it."""
    return name.partition("(")[0].replace('"', "").removeprefix("public.")
