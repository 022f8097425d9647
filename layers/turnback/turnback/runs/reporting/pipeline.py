"""A run as CodePipeline shows it: a sentence, variables, the message of a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from turnback.errors import TurnbackError
from turnback.runs.announce import Known
from turnback.runs.record_types import PlanRecord, RunReport
from turnback.runs.reporting.execution import RunOutcome
from turnback.runs.reporting.progress import Progress
from turnback.runs.reporting.words import rolled_back
from turnback.runs.state import RunError, RunState
from turnback.runs.status import Status
from turnback.wording import counted, visible

# CodePipeline's API reference: ExecutionDetails, FailureDetails.
SUMMARY_LENGTH = 2048
MESSAGE_LENGTH = 5000
# Where people look at AWS in a browser, by partition (AWS General Reference).
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
# What a state of the definition is to somebody who looks at the pipeline.
DOING = {
    "Validate": "validating the release",
    "Decide": "validating the release",
    "TakeTurn": "taking its turn",
    "CheckArtifact": "checking the artifact",
    "AnnounceWaiting": "waiting for its turn",
    "WaitForTurn": "waiting for its turn",
    "PassTurn": "done; giving the turn away",
    "AnnounceStarted": "starting",
    "WakeRollBack": "starting",
    "WakeRestore": "starting",
    "AnnounceRehearsed": "rehearsed",
    "Rehearse": "rehearsing the release",
    "PassTurnToAsk": "asking for an approval",
    "AskApproval": "waiting for an approval: turnback approve {run}",
    "AskRestore": "it failed; waiting for the approval of a restore: turnback approve {run}",
    "Snapshot": "taking the snapshot",
    "WaitForSnapshot": "waiting for the snapshot",
    "AnnounceSnapshotTaken": "the snapshot is taken",
    "Apply": "applying migrations",
    "WaitForApply": "a statement is running in the database",
    "Verify": "verifying the result",
    "StartBackfills": "starting its backfills, which continue in the background",
    "FindChanges": "it failed; looking at what it has changed",
    "LookAtApplication": "it failed; stopping the application",
    "StopApplication": "it failed; stopping the application",
    "WaitForStop": "it failed; stopping the application",
    "RollBack": "it failed; rolling back",
    "WaitForRollBack": "it failed; rolling back",
    "Assess": "it failed; looking for a way to restore",
    "Restore": "it failed; restoring the database",
    "WaitForRestore": "it failed; restoring the database",
    "AnnounceSucceeded": "done; publishing it",
    "AnnounceSuperseded": "superseded by a newer release; publishing it",
    "AnnounceRefused": "refused; publishing it",
    "AnnounceRolledBack": "rolled back; publishing it",
    "AnnounceRestored": "restored; publishing it",
    "AnnounceNeedsAPerson": "it failed, and a person is needed; publishing it",
    "StartApplication": "starting the application again",
    "WaitForStart": "starting the application again",
}
_AT_WORK = {"Apply", "WaitForApply", "RollBack", "WaitForRollBack"}


class Execution(Protocol):
    """An execution of the state machine."""

    @property
    def arn(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def error(self) -> str: ...

    @property
    def cause(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Doing:
    """What a run does, in one sentence; how far it is, in percent, where that is known."""

    summary: str
    percent: int | None = None


def doing_of(
    run: str,
    state: str,
    plan: PlanRecord,
    report: RunReport,
    progress: Progress | None,
) -> Doing:
    """What a run does.

    Args:
        run: its id.
        state: the state of the definition that it entered last; empty if unknown.
        plan: its plan, empty before there is one.
        report: what its calls so far have done.
        progress: what its present call does, where that is known.
    """
    text = f"run {run}: {DOING.get(state, 'at work').format(run=run)}"
    percent = None
    if state in _AT_WORK:
        if state in ("Apply", "WaitForApply") and (total := len(plan.migrations)):
            done = {row.version for row in report.applied}
            done |= set(progress.applied if progress else ())
            text += f", {len(done)} of {total} done"
            percent = min(len(done) * 100 // total, 100)
        if progress and progress.version:
            now = f"{progress.version} {progress.name or ''}".strip()
            text += f"; now {now}" + (f": {progress.text}" if progress.text else "")
    return Doing(visible(text)[:SUMMARY_LENGTH], percent)


def variables_of(
    run: str, plan: PlanRecord, report: RunReport, *, dry_run: bool, report_url: str
) -> dict[str, str]:
    """The output variables of a run that succeeded."""
    return {
        "run": run,
        "status": (Status.SUPERSEDED if plan.superseded_by else Status.SUCCEEDED).value,
        "release": plan.release or "",
        "schema_version": _schema_version(plan, dry_run=dry_run),
        "migrations": str(_done(plan, report, dry_run=dry_run)),
        "report_url": report_url,
    }


def _done(plan: PlanRecord, report: RunReport, *, dry_run: bool) -> int:
    """How many migrations the run did itself; of a dry run, how many it would do."""
    state = RunState(dry_run=dry_run)
    known = Known(Status.SUCCEEDED, state, plan, report).report()
    return known.migration_count if dry_run else known.done_count


def success_of(run: str, plan: PlanRecord, report: RunReport, *, dry_run: bool) -> str:
    """What a run that succeeded did, in one sentence."""
    count = counted(_done(plan, report, dry_run=dry_run), "migration")
    if plan.superseded_by:
        done = f"superseded by {plan.superseded_by}"
    elif not plan.migrations:
        done = "nothing to do"
    elif dry_run:
        done = f"{count} would be applied, nothing was changed"
    else:
        done = f"{count} done"
    version = _schema_version(plan, dry_run=dry_run)
    return f"run {run}: release {plan.release or ''}: {done}; the schema is at {version}"


def failure_of(run: str, end: RunOutcome, plan: PlanRecord, report: RunReport) -> str:
    """Why a run did not succeed: the outcome, then file and line, then what to do.

    Args:
        run: its id.
        end: how it ended.
        plan: its plan.
        report: what it has done.
    """
    words = end.words
    if end.announced and end.status is Status.ROLLED_BACK:
        state = RunState(run=run, error=end.error)
        words += f": {rolled_back(Known(end.status, state, plan, report).report())}"
    return message_of(f"the run {run} {words}", end.error, run)


def message_of(outcome: str, error: RunError | None, run: str | None = None) -> str:
    """The message of a failure, short enough for CodePipeline.

    Args:
        outcome: what became of the run.
        error: what stopped it, or None.
        run: the run, if there is one to look at.
    """
    where, hint, message = "", "", ""
    if error:
        where = f"{error.file}:{error.line}" if error.file and error.line else error.file or ""
        message, hint = error.message, error.hint or ""
    first = ": ".join(filter(None, [where, message]))
    ends = [f"hint: {hint}" if hint else "", f"more: turnback watch {run}" if run else ""]
    tail = "".join(f"\n{line}" for line in ends if line)
    head = "\n".join(filter(None, [outcome, first]))
    tail = visible(tail)
    return visible(head)[: MESSAGE_LENGTH - len(tail)] + tail


def refusal_of(error: TurnbackError, *, begun: bool = False) -> str:
    """The message of a job that starts no run.

    Args:
        error: why.
        begun: whether an earlier call may have started one.
    """
    outcome = "no run was started, and nothing was changed"
    if begun:
        outcome = "the run of this job is not known any more; turnback runs lists it"
    return message_of(outcome, RunError.from_state(error.to_dict()))


def records_url(execution: str, bucket: str, run: str) -> str:
    """The address of the run's records (plan, rehearsal, report) in the console.

    Args:
        execution: ARN of the execution, which says where we are.
        bucket: the stack's bucket.
        run: the run.
    """
    _, partition, _, region, *_ = execution.split(":")
    console = CONSOLES.get(partition, CONSOLES["aws"])
    return f"https://{region}.{console}/s3/buckets/{bucket}?region={region}&prefix=runs/{run}/"


def _schema_version(plan: PlanRecord, *, dry_run: bool) -> str:
    before = [version for version, *_ in plan.history]
    touched = [] if dry_run else plan.versions
    if plan.down:
        after = [version for version in before if version not in touched]
    else:
        after = before + touched
    return after[-1] if after else "0"
