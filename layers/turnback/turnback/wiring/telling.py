"""Where a run is told: the topics, the bus, the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnback.errors import AwsError
from turnback.settings import text
from turnback.settings.chat import TellingSettings
from turnback.wiring.invocation import Invocation

if TYPE_CHECKING:
    from turnback.runs.telling.channels import Channels
    from turnback.runs.telling.chat import Chat


class Telling:
    """Where a run is told, for one invocation."""

    def __init__(self, invocation: Invocation) -> None:
        self._of = invocation

    @property
    def channels(self) -> Channels:
        """Everywhere that statuses are told."""
        from turnback.aws.events import EventBus
        from turnback.aws.sns import Topic
        from turnback.runs.telling.channels import Channels

        settings = TellingSettings.read(self._of.environment)
        return Channels(
            Topic(settings.topic_arn),
            EventBus(settings.event_bus) if settings.event_bus else None,
            Topic(settings.amazon_q_topic_arn) if settings.amazon_q_topic_arn else None,
        )

    def subscribers(self) -> dict[str, int | None]:
        """How many hear the ``statuses`` and the ``alarms``; None where SNS does not say."""
        from turnback.aws.sns import Topic

        alarms = self._of.environment.get("ALARM_TOPIC_ARN", "").strip()
        found: dict[str, int | None] = {"statuses": None, "alarms": None if alarms else 0}
        for name, arn in (
            ("statuses", text(self._of.environment, "TOPIC_ARN")),
            ("alarms", alarms),
        ):
            try:
                found[name] = Topic(arn).subscribers() if arn else found[name]
            except AwsError as error:
                self._of.log.warning(error.message)
        return found

    @property
    def chat(self) -> Chat:
        """The chat that the secret names."""
        from turnback.aws.secretsmanager import secret_text
        from turnback.runs.telling.access import ChatAccess
        from turnback.runs.telling.chat import Chat
        from turnback.runs.telling.http import Patience

        access = ChatAccess.from_secret(secret_text(text(self._of.environment, "SLACK_SECRET_ARN")))
        return Chat(access, self._of.bucket(), Patience(self._of.seconds_left))
