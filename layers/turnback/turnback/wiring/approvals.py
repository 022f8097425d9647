"""Questions to people, and their answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnback.settings import text
from turnback.wiring.invocation import Invocation

if TYPE_CHECKING:
    from turnback.runs.approvals.ask import ApprovalMail
    from turnback.runs.approvals.endpoint import Endpoint
    from turnback.runs.approvals.questions import Questions
    from turnback.runs.approvals.slack import SlackSecret
    from turnback.runs.validate import Gate


class Approvals:
    """Questions to people, for one invocation."""

    def __init__(self, invocation: Invocation) -> None:
        self._of = invocation

    @property
    def questions(self) -> Questions:
        """The questions that runs have for people."""
        from turnback.aws.ssm import parameter_text
        from turnback.aws.stepfunctions import WaitingTasks
        from turnback.runs.approvals.questions import Questions
        from turnback.settings.approvals import ApprovalSettings

        settings = ApprovalSettings.read(self._of.environment, parameter_text)
        return Questions(
            self._of.bucket(), WaitingTasks(), settings, self._of.log, lambda: datetime.now(UTC)
        )

    @property
    def gate(self) -> Gate:
        """How many people must agree to a plan, and why."""
        from turnback.runs.approvals.risk import gate
        from turnback.settings.approvals import ApprovalSettings

        return gate(ApprovalSettings.read(self._of.environment))

    @property
    def mail(self) -> ApprovalMail:
        """Sends each approver a link of their own."""
        from turnback.aws.sns import Topic
        from turnback.runs.approvals.ask import ApprovalMail
        from turnback.runs.approvals.links import LinkMaker

        environment = self._of.environment
        return ApprovalMail(
            LinkMaker(environment.get("ANSWER_URL", ""), self._approval_key),
            Topic(text(environment, "APPROVAL_TOPIC_ARN")),
        )

    @property
    def answers(self) -> Endpoint:
        """What takes answers, whichever way they come."""
        from turnback.runs.approvals.endpoint import Endpoint

        return Endpoint(
            self.questions, self._approval_key, self._slack_secret, self._of.invoke_again
        )

    def _approval_key(self) -> str:
        from turnback.aws.secretsmanager import secret_text

        return secret_text(text(self._of.environment, "APPROVAL_KEY_SECRET_ARN"))

    def _slack_secret(self) -> SlackSecret:
        from turnback.aws.secretsmanager import secret_text
        from turnback.runs.approvals.slack import SlackSecret

        arn = self._of.environment.get("SLACK_SECRET_ARN", "").strip()
        return SlackSecret.from_text(secret_text(arn)) if arn else SlackSecret()
