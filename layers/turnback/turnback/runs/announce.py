"""Announce: collect what is known of a run, and publish it as a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from turnback.errors import AwsError, TurnbackError
from turnback.runs.checklist import Evidence, checklist
from turnback.runs.order import release_of
from turnback.runs.record_types import FinalRecord, PlanRecord, RunReport
from turnback.runs.records import Records
from turnback.runs.reporting.report import (
    Report,
    ReportApplication,
    ReportApproval,
    ReportMigration,
    ReportRestore,
    ReportSnapshot,
    ReportUpload,
    undone,
)
from turnback.runs.reporting.words import summary
from turnback.runs.state import RestoreLoss, RunError, RunSnapshot, RunState
from turnback.runs.status import BACKFILL_STATUSES, Status
from turnback.runs.stored_states import name_state
from turnback.wording import capped, cut

# Of what a person should know besides, so that a message stays one.
_NOTES, _NOTE_LENGTH = 10, 500


class Publisher(Protocol):
    """Everywhere that reports are published."""

    def publish(self, report: Report) -> Sequence[TurnbackError]:
        """Publish it; returns the errors of the places that are not the status topic."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Publishes the statuses of one run.

    Attributes:
        records: the run's plan and report.
        channels: where to publish.
        environment: the stack's environment.
        execution_arn: the execution.
        started_at: when it began.
        warn: gets the error of each place, other than the status topic, that failed.
        subscribers: how many subscribe to the ``statuses`` and the ``alarms``; None where that is
            unknown.
    """

    records: Records
    channels: Publisher
    environment: str
    execution_arn: str
    started_at: datetime
    warn: Callable[[TurnbackError], None]
    subscribers: Callable[[], Mapping[str, int | None]] = dict

    def announce(
        self,
        status: Status,
        state: RunState,
        *,
        approval: ReportApproval | None = None,
        checklist: bool = True,
    ) -> Report:
        """Publish a status; of the last one, also keep the checklist.

        Args:
            status: what the run is at.
            state: the state machine's state: the order, and what the steps so far left in it.
            approval: what is asked of people, with ``awaiting_approval``.
            checklist: whether a final status has the checklist.

        Raises:
            AwsError: SNS did not accept it; the run goes on all the same.
        """
        if status.final and (said := self._said(status)):
            return said
        if status is Status.SUCCEEDED:
            try:
                name_state(self.records.store, state.rehearsal)
            except AwsError as error:
                # The next rehearsal applies everything again.
                self.warn(error)
        plan, done = self.records.plan(), self.records.report()
        report = Known(status, state, plan, done).report()
        now = datetime.now(UTC)
        report = replace(
            report,
            environment=self.environment,
            at=now.isoformat(timespec="milliseconds"),
            duration_ms=int((now - self.started_at).total_seconds() * 1000),
            approval=approval or report.approval,
            checklist=self._checklist(plan, state)
            if checklist and status.final and plan.migrations
            else (),
            execution_arn=self.execution_arn,
        )
        report = replace(report, summary=summary(report))
        if status.final:
            self._keep(report, published=False)
        if report.checklist:
            self.records.write_checklist(list(report.checklist))
        # The last thing that can fail: what is tried again is not published twice.
        self.publish(report)
        return report

    def _said(self, status: Status) -> Report | None:
        """The final status, if a call before this one published it and was cut off then."""
        final = self.records.final()
        same = final.published and final.report.get("status") == status
        return Report.from_state(final.report) if same else None

    def publish(self, report: Report) -> None:
        """Publish a report of the run, and keep that its final status was published.

        Raises:
            AwsError: SNS did not accept it.
        """
        for error in self.channels.publish(report):
            self.warn(error)
        if report.status.final:
            self._keep(report, published=True)

    def _keep(self, report: Report, *, published: bool) -> None:
        try:
            self.records.write_final(FinalRecord(report.to_state(), published))
        except AwsError as error:
            # What was not kept is published once more after the end, not one time too few.
            self.warn(error)

    def _checklist(self, plan: PlanRecord, state: RunState) -> tuple[dict[str, str], ...]:
        subscribers = self.subscribers()
        known = Evidence(
            source=plan.source,
            undocumented=plan.undocumented,
            rehearsal=self.records.rehearsal(state.rehearsal),
            snapshot=state.snapshot or RunSnapshot(),
            alarms=subscribers.get("alarms"),
            audience=subscribers.get("statuses"),
        )
        return tuple(item.to_dict() for item in checklist(known))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run: its status, its state, its plan, and what it has done."""

    status: Status
    state: RunState
    plan: PlanRecord
    done: RunReport

    def report(self) -> Report:
        """All of it as a report, without time and place."""
        state = self.state
        taken = state.snapshot
        return Report(
            run=state.run,
            target=state.target,
            status=self.status,
            environment="",
            at="",
            trigger=state.trigger,
            release=self.plan.release or release_of(state.artifact),
            dry_run=state.dry_run,
            direction=self.plan.direction,
            migration_count=len(self.plan.migrations),
            done_count=self._done_count(),
            migrations=self._migrations(),
            progress=self._progress(),
            rolled_back=tuple(row.version for row in self.done.rolled_back),
            verified=self.done.verified,
            destroyed=self._destroyed(),
            rehearsal=replace(state.rehearsal, basis="", state="") if state.rehearsal else None,
            approval=self._approval(),
            snapshot=ReportSnapshot(taken.kind, taken.id) if taken and taken.id else None,
            loss=self._loss(),
            restore=self._restore(),
            application=self._application(),
            upload=ReportUpload.of(state.artifact, state.trigger),
            waits_for=(state.turn.waits_for or None) if self._waiting and state.turn else None,
            superseded_by=self.plan.superseded_by,
            notes=self._notes(),
            error=undone(self._error(), self.status),
            rollback_error=undone(state.rollback_error, self.status),
            restore_error=self._restore_error(),
        )

    @property
    def _waiting(self) -> bool:
        return self.status is Status.WAITING

    @property
    def _applying(self) -> bool:
        return self.status is Status.APPLYING

    def _progress(self) -> str | None:
        """What goes on while no function waits for it; and how far a background backfill is."""
        if self.status in BACKFILL_STATUSES:
            found, balances = self.state.backfill, self.state.balances
            text = f"waits: {balances.low}" if balances and balances.low else found and found.text
            return f"{found.version}: {text}" if found and text else None
        return self.state.apply.running if self._applying and self.state.apply else None

    def _error(self) -> RunError | None:
        found = self.state.backfill
        if found and found.status == self.status:
            return found.error
        return self.state.error if self.status is not Status.BACKFILLING else None

    @property
    def _all_done(self) -> bool:
        """Whether all of the plan stands, as Verify has found it."""
        return self.status is Status.SUCCEEDED and self.done.worked

    def _migrations(self) -> tuple[ReportMigration, ...]:
        """The plan's migrations, and where each stands."""
        down = self.plan.down
        applied = {row.version: row.execution_ms for row in self.done.applied}
        back = {row.version: row.execution_ms for row in self.done.rolled_back}
        if self._all_done:
            word = dict.fromkeys(self.plan.versions, "rolled_back" if down else "applied")
            later = [one.version for one in self.plan.migrations if one.backfill and not down]
            word |= dict.fromkeys(later, "backfilling")
        else:
            word = dict.fromkeys(self.plan.versions, "applied" if down else "pending")
            word |= dict.fromkeys(applied, "applied") | dict.fromkeys(back, "rolled_back")
        restored = self.status is Status.RESTORED
        if restored:
            word = dict.fromkeys(word, "restored")
        failed = self.state.error.version if self.state.error else None
        if failed in word and (restored or word[failed] in ("pending", "applied")):
            word[failed] = "failed"
        took = back if down else applied
        return tuple(
            ReportMigration(step.version, step.name, word[step.version], took.get(step.version))
            for step in self.plan.migrations
        )

    def _done_count(self) -> int:
        """How many of the plan's migrations the run itself did, whatever was undone since."""
        done = self.done.rolled_back if self.plan.down else self.done.applied
        if self.status is Status.SUCCEEDED and not self.done.worked and not self.state.dry_run:
            # The report could not be written; Verify has found all of the plan.
            return len(self.plan.migrations)
        return len({row.version for row in done} & set(self.plan.versions))

    def _notes(self) -> tuple[str, ...]:
        notes = dict.fromkeys([*self.plan.notes, *self.done.notes])
        if self.status is Status.SUCCEEDED and (error := self.state.backfill_error):
            later = "the backfill has not begun yet, and is tried every ten minutes"
            notes[f"{later}: {error.message}"] = None
        return tuple(cut(note, _NOTE_LENGTH) for note in capped(list(notes), _NOTES))

    def _destroyed(self) -> tuple[str, ...]:
        """The data that was destroyed by what was undone since, and that no script brings back.

        A migration that failed outside a transaction may have destroyed its part as well.
        """
        versions = [row.version for row in self.done.rolled_back]
        failed = self.state.error.version if self.state.error else None
        outside = {step.version for step in self.plan.migrations if not step.in_transaction}
        if failed in outside and failed not in versions:
            versions.append(str(failed))
        return tuple(lost for version in versions for lost in self.plan.destroys.get(version, ()))

    def _approval(self) -> ReportApproval | None:
        """Who approved, once somebody did; of the restore rather than of the release."""
        for gate, answer in (
            ("restore", self.state.restore_approval),
            ("release", self.state.approval),
        ):
            if answer:
                return ReportApproval(gate=gate, approved_by=answer.by)
        return None

    def _loss(self) -> RestoreLoss | None:
        """What a restore loses, once that was assessed; after one, as counted at its end."""
        if self.status is Status.RESTORED and self.done.loss:
            return self.done.loss
        return self.state.assessment.loss if self.state.assessment else None

    def _restore(self) -> ReportRestore | None:
        done = self.state.restore
        if self.status is not Status.RESTORED or done is None:
            return None
        return ReportRestore(done.kept, done.restored_to)

    def _restore_error(self) -> RunError | None:
        """What stopped the restore; where none was begun, why."""
        assessed = self.state.assessment
        refused = self.status is Status.NEEDS_A_PERSON and assessed and assessed.decision == "no"
        if self.state.restore_error or not (refused and assessed):
            return self.state.restore_error
        return RunError("NotRestored", f"not restored: {assessed.reason}")

    def _application(self) -> ReportApplication | None:
        """What became of the application; None where none was stopped."""
        stopped = self.state.application.stopped if self.state.application else ()
        error = self.state.application_error
        if not stopped and not error:
            return None
        started = self.state.starting is not None and self.state.starting.done
        return ReportApplication(len(stopped), started, error)
