"""What a pipeline is told of a run: in one sentence, in variables, in the message of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from turnback.errors import TurnbackError
from turnback.runs.watching.outcome import outcome_of
from turnback.runs.watching.progress import Progress

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
    "AnnounceStarted": "starting",
    "AnnounceRehearsed": "rehearsed",
    "Rehearse": "rehearsing the release",
    "AskApproval": "waiting for an approval: turnback approve {run}",
    "AskRestore": "it failed; waiting for the approval of a restore: turnback approve {run}",
    "Snapshot": "taking the snapshot",
    "WaitForSnapshot": "waiting for the snapshot",
    "AnnounceSnapshotTaken": "the snapshot is taken",
    "Apply": "applying migrations",
    "WaitForApply": "a statement works in the database",
    "Verify": "verifying the result",
    "LookAtApplication": "it failed; stopping the application",
    "StopApplication": "it failed; stopping the application",
    "WaitForStop": "it failed; stopping the application",
    "RollBack": "it failed; rolling back",
    "WaitForRollBack": "it failed; rolling back",
    "Assess": "it failed; looking for the way back",
    "Restore": "it failed; restoring the database",
    "WaitForRestore": "it failed; restoring the database",
    "AnnounceSucceeded": "done; telling it",
    "AnnounceRefused": "refused; telling it",
    "AnnounceRolledBack": "rolled back; telling it",
    "AnnounceRestored": "restored; telling it",
    "AnnounceNeedsAPerson": "it failed, and a person is needed; telling it",
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
    plan: Mapping[str, Any],
    report: Mapping[str, Any],
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
    told = f"run {run}: {DOING.get(state, 'at work').format(run=run)}"
    percent = None
    if state in _AT_WORK:
        if state in ("Apply", "WaitForApply") and (total := len(plan.get("migrations", []))):
            done = {row["version"] for row in report.get("applied", [])}
            done |= set(progress.applied if progress else ())
            told += f", {len(done)} of {total} done"
            percent = min(len(done) * 100 // total, 100)
        if progress and progress.version:
            now = f"{progress.version} {progress.name or ''}".strip()
            told += f"; now {now}" + (f": {progress.text}" if progress.text else "")
    return Doing(told[:SUMMARY_LENGTH], percent)


def variables_of(
    run: str, plan: Mapping[str, Any], *, dry_run: bool, report_url: str
) -> dict[str, str]:
    """The output variables of a run that succeeded."""
    return {
        "run": run,
        "status": "succeeded",
        "release": str(plan.get("release") or ""),
        "schema_version": _schema_version(plan, dry_run=dry_run),
        "migrations": str(len(plan.get("migrations", []))),
        "report_url": report_url,
    }


def success_of(run: str, variables: Mapping[str, str], *, dry_run: bool) -> str:
    """What a run that succeeded did, in one sentence."""
    count = variables["migrations"]
    what = f"{count} migration{'' if count == '1' else 's'}"
    if count == "0":
        done = "nothing to do"
    elif dry_run:
        done = f"{what} would be applied, nothing was changed"
    else:
        done = f"{what} done"
    version = variables["schema_version"]
    return f"run {run}: release {variables['release']}: {done}; the schema is at {version}"


def failure_of(run: str, state: str, found: Execution) -> str:
    """Why a run did not succeed: the outcome, then file and line, then what to do.

    Args:
        run: its id.
        state: the state of the definition that it entered last.
        found: its execution, which has ended.
    """
    end = outcome_of(found.status, state, found.error, found.cause)
    return message_of(f"the run {run} {end.sentence}", end.error or {}, run)


def message_of(outcome: str, error: Mapping[str, Any], run: str | None = None) -> str:
    """The message of a failure, short enough for CodePipeline.

    Args:
        outcome: what became of the run.
        error: as of TurnbackError.to_dict; empty where there is none.
        run: the run, if there is one to look at.
    """
    place = ":".join(str(error[key]) for key in ("file", "line") if error.get(key))
    hint, told = error.get("hint"), str(error.get("message") or "")
    first = ": ".join(filter(None, [place, told]))
    ends = [f"hint: {hint}" if hint else "", f"more: turnback watch {run}" if run else ""]
    tail = "".join(f"\n{line}" for line in ends if line)
    head = "\n".join(filter(None, [outcome, first]))
    return head[: MESSAGE_LENGTH - len(tail)] + tail


def refusal_of(error: TurnbackError, *, begun: bool = False) -> str:
    """The message of a job that starts no run.

    Args:
        error: why.
        begun: whether an earlier call may have started one.
    """
    outcome = "no run was started, and nothing was changed"
    if begun:
        outcome = "the run of this job is not known any more; turnback runs lists it"
    return message_of(outcome, error.to_dict())


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


def _schema_version(plan: Mapping[str, Any], *, dry_run: bool) -> str:
    before = [version for version, _ in plan.get("history", [])]
    touched = [] if dry_run else [step["version"] for step in plan.get("migrations", [])]
    if plan.get("direction") == "down":
        after = [version for version in before if version not in touched]
    else:
        after = before + touched
    return max(after, key=int, default="0")
