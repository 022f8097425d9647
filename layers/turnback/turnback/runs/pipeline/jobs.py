"""Answering CodePipeline's jobs: start a run, and report on it until it has ended.

Each call answers and ends; CodePipeline calls again, about every half a minute, with the token of
the answer before. A run is started only after CodePipeline took that first answer, so a job that
has ended by then (its pipeline was stopped, or it waited too long) starts nothing. If the start
fails, the next call tries again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from turnback.errors import AwsError, ConfigurationError, TurnbackError
from turnback.runs.order import Starter
from turnback.runs.pipeline.job import Credentials, Job, Parameters, Token
from turnback.runs.pipeline.source import SourceStore, prepare
from turnback.runs.records import Records
from turnback.runs.reporting.execution import outcome_of
from turnback.runs.reporting.pipeline import (
    SUMMARY_LENGTH,
    Doing,
    Execution,
    doing_of,
    failure_of,
    message_of,
    records_url,
    refusal_of,
    success_of,
    variables_of,
)
from turnback.runs.reporting.progress import Progress, progress_key
from turnback.runs.state import RunError
from turnback.runs.stated import Stated
from turnback.settings.environment import PipelineSettings
from turnback.store import ObjectStore

# So many calls in a row may fail to reach AWS before the job is failed.
TRIES = 10


class Machine(Starter, Protocol):
    """The state machine."""

    def execution_arn(self, name: str) -> str:
        """The ARN of the execution of this name, whether there is one or not."""

    def describe(self, name: str) -> Execution | None:
        """The execution of this name, or None."""

    def last_state(self, name: str) -> str:
        """The state that it entered last; empty when it entered none."""


class Results(Protocol):
    """CodePipeline; each method says whether the job still took the answer."""

    def go_on(self, job: str, token: str, summary: str, percent: int | None, run: str) -> bool:
        """The job goes on: ask again, with this token."""

    def succeed(self, job: str, variables: Mapping[str, str], summary: str, run: str) -> bool:
        """The job has succeeded."""

    def fail(self, job: str, kind: str, message: str, run: str | None) -> bool:
        """The job has failed."""


@dataclass(frozen=True, slots=True)
class JobAnswer(Stated):
    """How a call of a job was answered.

    Attributes:
        job: the job's id.
        run: the run, or None.
        answer: ``continue``, ``success`` or ``failure``.
        took: whether CodePipeline took it, which it does not once the job has ended.
        text: the message sent to it.
    """

    job: str
    run: str | None
    answer: str
    took: bool
    text: str


@dataclass(frozen=True, slots=True)
class Jobs:
    """What answering a job needs.

    Attributes:
        settings: of the stack.
        machine: what executes the runs.
        results: where answers go.
        bucket: the stack's bucket.
        source: makes the store that the credentials of a job open.
        clock: seconds since 1970.
    """

    settings: PipelineSettings
    machine: Machine
    results: Results
    bucket: ObjectStore
    source: Callable[[Credentials], SourceStore]
    clock: Callable[[], float]

    def answer(self, job: Job) -> JobAnswer:
        """Answer one call; every call of a job may come twice, and late.

        Raises:
            AwsError: CodePipeline accepts no answers at the moment.
        """
        try:
            parameters = Parameters.parse(job.user_parameters)
            if parameters.target not in ("", self.settings.target):
                raise ConfigurationError(
                    f"this stack releases to {self.settings.target!r}, but the UserParameters of "
                    f"the action say {parameters.target!r}",
                    hint="correct them, or name the function of that target's stack",
                )
            kept = job.continuation_token
            token = Token.parse(kept) if kept is not None else None
        except TurnbackError as error:
            begun = job.continuation_token is not None
            return self._fail(job, None, refusal_of(error, begun=begun), "ConfigurationError")
        if token is None:
            return self._begin(job, parameters)
        return self._follow(job, parameters, token)

    def fail_raised(self, event: Mapping[str, Any], error: TurnbackError) -> None:
        """Fail the job of a call that raised an error.

        An outage fails no job: Lambda calls twice again, and then fail_unanswered is called.

        Raises:
            AwsError: CodePipeline accepts no answers at the moment.
        """
        if not isinstance(error, AwsError):
            self._fail_call(event, RunError.from_state(error.to_dict()))

    def fail_unanswered(self, record: Mapping[str, Any]) -> JobAnswer:
        """Fail the job of a call that Lambda gave up: it raised, timed out or was killed each time.

        Args:
            record: what Lambda sends to the destination of a failed asynchronous invocation (its
                Developer Guide, "Capturing records of Lambda asynchronous invocations").

        Raises:
            AwsError: CodePipeline accepts no answers at the moment.
        """
        given = record.get("responsePayload") or {}
        condition = (record.get("requestContext") or {}).get("condition")
        caught = {"Error": given.get("errorType") or condition, "Cause": json.dumps(given)}
        error = RunError.from_caught(caught) or RunError("Unknown", "Lambda gives no reason")
        hint = "retry the stage; see the log of on_pipeline, which may need more memory or space"
        return self._fail_call(record["requestPayload"], replace(error, hint=error.hint or hint))

    def _fail_call(self, event: Mapping[str, Any], error: RunError) -> JobAnswer:
        """Fail the job of an event, of which perhaps no more than the id can be read."""
        sent = event["CodePipeline.job"]
        kept = (sent.get("data") or {}).get("continuationToken")
        run, outcome = None, "no run was started, and nothing was changed"
        if kept is not None:
            with suppress(ConfigurationError):
                run = Token.parse(kept).run
            outcome = f"the run {run or 'of this job'} could not be followed, and may be at work"
        message = message_of(outcome, error, run)
        took = self.results.fail(sent["id"], "JobFailed", message, run)
        return JobAnswer(sent["id"], run, "failure", took, message)

    def _begin(self, job: Job, parameters: Parameters) -> JobAnswer:
        run, now = job.run(), int(self.clock())
        try:
            found = self.machine.describe(run)
            if found is None:
                sha256 = prepare(
                    job, parameters, source=self.source(job.credentials), store=self.bucket
                )
                token = Token(run, sha256, now, self.machine.execution_arn(run))
        except TurnbackError as error:
            return self._fail(job, None, refusal_of(error), _kind(error))
        if found is not None:
            # The same job, sent again: its source is not needed any more.
            return self._report(job, parameters, Token(run, "", now, found.arn), found)
        answer = self._go_on(job, token, Doing(f"run {run}: started"))
        if answer.took:
            try:
                self._start(job, parameters, token)
            except AwsError as error:
                # The next call starts it.
                return replace(answer, text=f"run {run}: {error.message}")
        return answer

    def _follow(self, job: Job, parameters: Parameters, token: Token) -> JobAnswer:
        try:
            found = self.machine.describe(token.run)
            if found is None:
                self._start(job, parameters, token)
        except AwsError as error:
            return self._try_again(job, token, error.message)
        if found is None:
            return self._try_again(job, token, "its execution is not visible yet")
        return self._report(job, parameters, token, found)

    def _report(
        self, job: Job, parameters: Parameters, token: Token, found: Execution
    ) -> JobAnswer:
        run, records = token.run, Records(self.bucket, token.run)
        try:
            plan, report = records.plan(), records.report()
            if found.status == "RUNNING":
                late = self.clock() - token.started > self.settings.limit_minutes * 60
                state = self.machine.last_state(run)
                working = self.bucket.read(progress_key(run))
                now = Progress.from_json(working) if working else None
                doing = doing_of(run, state, plan, report, now)
            elif found.status != "SUCCEEDED":
                state = self.machine.last_state(run)
                end = outcome_of(found.status, state, found.error or "", found.cause or "")
                message = failure_of(run, end, plan, report)
        except AwsError as error:
            return self._try_again(job, token, error.message)
        if found.status == "RUNNING":
            if late:
                return self._fail(job, run, _too_late(run, doing.summary))
            return self._go_on(job, replace(token, tries=0), doing)
        if found.status == "SUCCEEDED":
            url = records_url(found.arn, self.bucket.name, run)
            variables = variables_of(run, plan, report, dry_run=parameters.dry_run, report_url=url)
            summary = success_of(run, plan, report, dry_run=parameters.dry_run)
            took = self.results.succeed(job.id, variables, summary, run)
            return JobAnswer(job.id, run, "success", took, summary)
        return self._fail(job, run, message)

    def _start(self, job: Job, parameters: Parameters, token: Token) -> None:
        # Without a checksum the execution was there before: only Step Functions is behind.
        if token.sha256:
            order = token.order(job, parameters, self.settings.target, self.bucket.name)
            self.machine.start(token.run, order.to_state())

    def _try_again(self, job: Job, token: Token, reason: str) -> JobAnswer:
        run, tries = token.run, token.tries + 1
        if tries >= TRIES:
            hint = f"check it: turnback watch {run}; retry the stage once it has ended"
            outcome = f"the state of the run {run} is unknown after {tries} attempts"
            return self._fail(job, run, message_of(outcome, RunError("", reason, hint=hint)))
        doing = Doing(f"run {run}: attempt {tries} of {TRIES} failed: {reason}"[:SUMMARY_LENGTH])
        return self._go_on(job, replace(token, tries=tries), doing)

    def _go_on(self, job: Job, token: Token, doing: Doing) -> JobAnswer:
        took = self.results.go_on(job.id, token.to_text(), doing.summary, doing.percent, token.run)
        return JobAnswer(job.id, token.run, "continue", took, doing.summary)

    def _fail(self, job: Job, run: str | None, message: str, kind: str = "JobFailed") -> JobAnswer:
        took = self.results.fail(job.id, kind, message, run)
        return JobAnswer(job.id, run, "failure", took, message)


def _kind(error: TurnbackError) -> str:
    """CodePipeline's word for why no run was started."""
    if isinstance(error, AwsError):
        return "PermissionError" if "Denied" in error.message else "SystemUnavailable"
    return "ConfigurationError" if isinstance(error, ConfigurationError) else "JobFailed"


def _too_late(run: str, doing: str) -> str:
    hint = f"follow it: turnback watch {run}; once it has ended, retry the stage"
    outcome = f"CodePipeline waits 24 hours at most; the run {run} goes on without it"
    return message_of(outcome, RunError("", doing, hint=hint))
