"""Rehearse: prove the rollbacks of a release on a shadow database, before anything is touched."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from turnback.errors import RollbackUnproven, TurnbackError
from turnback.migrations.model import Migration, Project, Script
from turnback.runs.record_types import TargetSurroundings
from turnback.runs.run import Run
from turnback.runs.state import RunRehearsal
from turnback.runs.stored_states import NO_STATE, BucketStates
from turnback.settings import Policy
from turnback.wording import capped

if TYPE_CHECKING:
    from turnback.rehearsal.server import ShadowServer
    from turnback.rehearsal.shadow import Parked
    from turnback.rehearsal.verdict import Rehearsed, Verdict

    ShadowServers = Callable[
        [Callable[[Path], Parked | None]], AbstractContextManager[ShadowServer]
    ]

# So many the message lists; the record in the bucket has them all.
LISTED = 20
HINT = "run turnback rehearse on your machine: it shows the same"


def rehearse_release(
    run: Run, shadow_server: ShadowServers, states: BucketStates, warn: Callable[[str], None]
) -> RunRehearsal:
    """Take the planned migrations up, down and up again, and keep the result.

    The target is not asked. Migrations that the plan does not contain are applied there, and are
    applied here first, or a rehearsal before this one has stored a state in which they are.

    Args:
        run: the run.
        shadow_server: starts a throw-away server, with the data directory that its argument makes.
        states: where such states are kept.
        warn: called with a sentence about a state that is not used or not kept.

    Raises:
        RunCancelled: somebody cancelled the run.
        OutOfSpace: there is no room for the shadow database.
        RollbackUnproven: the release cannot be rolled back, or does not run at all.
        DatabaseUnreachable: the shadow server does not start.
    """
    from turnback.engine.run.repeatables import changed
    from turnback.rehearsal.proof import rehearse
    from turnback.rehearsal.server import build, owner
    from turnback.rehearsal.shadow import Shadow, refuse_full_disk
    from turnback.rehearsal.stored import Chosen, Stored
    from turnback.rehearsal.surroundings import Surroundings

    run.refuse_cancelled()
    # Fingerprints are many small objects without reference cycles: there is nothing to collect.
    gc.set_threshold(100_000, 50, 1000)
    planned = set(run.records.planned())
    began = time.monotonic()
    with run.artifact() as found, contextlib.ExitStack() as stack:
        project = found.artifact.project
        refuse_full_disk(project)
        target = run.records.plan().surroundings
        standing = repeatables_of(target, project)
        surroundings = None
        if target:
            surroundings = Surroundings(
                *(target.settings, target.roles, target.members, target.extensions),
                *(target.schemas, target.unread, target.versions),
            )
        chosen = Chosen(
            project,
            [one for one in project.migrations[project.baseline :] if one.version in planned],
            target.history_schema if target else "public",
        )
        account = owner()
        stored = Stored(
            states,
            chosen,
            surroundings,
            # Of this target alone.
            f"{run.order.target} {build()}",
            (account, account) if account else None,
            warn,
        )
        server = stack.enter_context(shadow_server(stored.unpack))
        shadow = Shadow.on_throw_away(server.url(), server.parked)
        shadow.surroundings = surroundings
        shadow.code = run.policy.code
        stored.build_up(shadow, server)
        shadow.repeatables = standing
        result = rehearse(
            project,
            chosen.migrations,
            shadow,
            repeatables=changed(project, chosen.migrations, standing),
            history_schema=chosen.history_schema,
        )
    sha256 = run.records.write_rehearsal(
        {
            "version": 1,
            "run": run.id,
            "release": found.artifact.release,
            "duration_ms": int((time.monotonic() - began) * 1000),
            "missing": shadow.missing,
            **result.to_dict(),
        }
    )
    refuse_unproven(result, run.policy)
    state = NO_STATE
    try:
        state = states.keep()
    except TurnbackError as error:
        warn(f"the state of the shadow server is not stored: {error}")
    return RunRehearsal(
        status="proven" if result.proven else "unproven",
        migration_count=len(result.migrations),
        irreversible_count=sum(one.rollback == "irreversible" for one in result.migrations),
        stand_ins=tuple(result.stand_ins),
        key=run.records.rehearsal_key,
        sha256=sha256,
        basis=run.state.plan.basis if run.state.plan else "",
        state=state,
    )


def repeatables_of(target: TargetSurroundings | None, project: Project) -> list[Migration]:
    """The repeatables as the target has them, in the order in which they were applied."""
    here = {one.version: one.forward for one in project.repeatables}
    found = []
    for one in target.repeatables if target else ():
        script = here.get(one.version)
        if script is None or script.checksum != one.checksum:
            script = Script(one.version, one.sql, one.checksum)
        name = PurePosixPath(one.version).stem
        found.append(Migration(one.version, name, script, kind="repeatable"))
    return found


def refuse_unproven(result: Rehearsed, policy: Policy) -> None:
    """Refuse what cannot be rolled back, and a missing rollback script where one is required.

    Raises:
        RollbackUnproven: names the first migration, and what differs.
    """
    for error in result.not_applied:
        raise _not_rehearsable(error) from error
    for verdict in result.migrations:
        missing = verdict.forward == "applied" and verdict.rollback == "missing"
        if not verdict.proven and not (missing and not policy.rollback_required):
            raise _unproven(verdict)
    if result.release == "failed" and result.release_error:
        error = result.release_error
        raise RollbackUnproven(
            f"each migration can be rolled back, all of them in a row cannot: {error.message}",
            file=error.file,
            line=error.line,
            column=error.column,
            sqlstate=error.sqlstate,
            hint=HINT,
        )
    if result.release == "differs":
        raise RollbackUnproven(
            "each rollback brings the schema back, all of them in a row do not:"
            + _listed([str(difference) for difference in result.release_differences]),
            hint=HINT,
        )


def _not_rehearsable(error: TurnbackError) -> RollbackUnproven:
    return RollbackUnproven(
        f"the shadow cannot be built: {error.message}",
        file=error.file,
        line=error.line,
        column=error.column,
        sqlstate=error.sqlstate,
        version=error.version,
        hint="migrations that are applied already must run on an empty PostgreSQL 18 too; where "
        "that is impossible, set the parameter Rehearse to never",
    )


def _unproven(verdict: Verdict) -> RollbackUnproven:
    from turnback.engine.run.failure import needed_of_server

    what, differences = _wrong(verdict)
    error = verdict.error if what.endswith("run") else None
    hint = HINT.replace("rehearse", f"rehearse {verdict.version}", 1)
    if verdict.suggestions:
        sql = " ".join(verdict.suggestions[:LISTED])
        hint = f"add to {verdict.rollback_file}: {sql} Then {hint}"
    if error and needed_of_server(error):
        hint = f"{error.hint}; where that is impossible, set the parameter Rehearse to never"
    return RollbackUnproven(
        what + _listed(differences) + (f": {error.message}" if error else ""),
        file=(error.file if error else None) or verdict.rollback_file or verdict.file,
        line=error.line if error else None,
        column=error.column if error else None,
        sqlstate=error.sqlstate if error else None,
        version=verdict.version,
        hint=hint,
    )


def _wrong(verdict: Verdict) -> tuple[str, list[str]]:
    """What is wrong in one sentence, and the differences that show it."""
    version = verdict.version
    hard = [str(item) for item in verdict.differences if item.softness == "hard"]
    if verdict.forward != "applied":
        return f"on an empty database {version} does not run", []
    if verdict.rollback == "missing":
        return f"{version} has no rollback script", []
    if verdict.rollback == "failed":
        return f"the rollback of {version} does not run", []
    if verdict.rollback == "differs":
        return f"the rollback of {version} does not bring the schema back:", hard
    if verdict.rows:
        return f"the rollback of {version} does not bring the rows back:", verdict.rows
    if verdict.reapply == "failed":
        return f"once rolled back, {version} does not run", []
    again = [str(item) for item in verdict.reapply_differences]
    return f"once rolled back, {version} makes another schema than at first:", again


def _listed(lines: list[str]) -> str:
    return "".join(f"\n- {line}" for line in capped(lines, LISTED))
