"""Who may approve, and when approvals are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from turnback.errors import ConfigurationError
from turnback.settings.environment import ENVIRONMENTS, Environment, choice, whole

APPROVAL_POLICIES = ("by-environment", "never", "one", "two")
# Also the value of a message attribute that subscriptions filter by.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_FIELDS = {"name", "slack", "aws", "email"}
_FORM = '[{"name": "ann", "slack": "U012AB3CD", "aws": ["AIDA…", "arn:aws:iam::…:user/ann"]}]'


@dataclass(frozen=True, slots=True)
class Approver:
    """A person who may approve.

    Attributes:
        name: as in logs and reports, and as subscriptions filter by it.
        slack: the member's id in Slack, ``U…``; or "".
        aws: every form in which AWS names the approver: user id, role id with session, ARN.
        email: or "".
    """

    name: str
    slack: str = ""
    aws: tuple[str, ...] = ()
    email: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """How many people must approve, who may, and how long they have.

    Attributes:
        people: how many people must approve a release that destroys or cannot be rolled back.
        always: whether every release needs them.
        timeout_minutes: after how many minutes without an answer the answer is no.
        approvers: who may answer.
        known: whether they were read; they may be named outside of the stack.
    """

    people: int
    always: bool = False
    timeout_minutes: int = 1440
    approvers: tuple[Approver, ...] = ()
    known: bool = True

    @classmethod
    def read(
        cls, environment: Environment, parameter: Callable[[str], str] | None = None
    ) -> ApprovalSettings:
        """The approvals as the stack's parameters want them.

        Args:
            environment: the function's variables.
            parameter: reads a parameter of SSM; None where the approvers need not be known.

        Raises:
            ConfigurationError: a parameter is not what it must be; names the approver concerned.
        """
        name = choice(environment, "ENVIRONMENT", ENVIRONMENTS, "development")
        word = choice(environment, "APPROVALS", APPROVAL_POLICIES, "by-environment")
        if word == "by-environment":
            word = "one" if name == "production" else "never"
        return cls(
            people={"never": 0, "one": 1, "two": 2}[word],
            always=choice(environment, "APPROVE_ALWAYS", ("yes", "no"), "no") == "yes",
            timeout_minutes=whole(environment, "APPROVAL_TIMEOUT_MINUTES", 1440, least=1),
            approvers=_named(environment, parameter),
            known=bool(parameter) or not _parameter(environment),
        )

    def needed(self, reasons: Sequence[str]) -> int:
        """How many people must approve a release with these reasons.

        Raises:
            ConfigurationError: more than there are.
        """
        people = self.people if reasons or self.always else 0
        if self.known and people > len(self.approvers):
            raise ConfigurationError(
                f"{people} must approve this release, but the approvers are {len(self.approvers)}",
                hint="name them in the stack's parameter Approvers, or set Approvals to never",
            )
        return people

    @property
    def needed_for_restore(self) -> int:
        """How many people must approve a restore: it loses data, so never less than one."""
        return max(1, self.people)


def _parameter(environment: Environment) -> str:
    return environment.get("APPROVERS_PARAMETER", "").strip()


def _named(
    environment: Environment, parameter: Callable[[str], str] | None
) -> tuple[Approver, ...]:
    if not (name := _parameter(environment)):
        return _approvers(environment.get("APPROVERS", "").strip())
    if parameter is None:
        return ()
    try:
        return _approvers(parameter(name).strip())
    except ConfigurationError as error:
        message = error.message.removeprefix("APPROVERS ")
        raise ConfigurationError(
            f"the parameter {name} of SSM {message}", hint=f"it must be of type String, and {_FORM}"
        ) from error


def _approvers(text: str) -> tuple[Approver, ...]:
    if not text:
        return ()
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is no JSON: {error}") from error
    if not isinstance(rows, list):
        raise _wrong("is no list")
    found = tuple(_approver(row, number) for number, row in enumerate(rows, 1))
    for what, values in (
        ("the name", [person.name.lower() for person in found]),
        ("the Slack id", [person.slack for person in found if person.slack]),
        ("the AWS identity", [form for person in found for form in person.aws]),
        ("the e-mail address", [person.email.lower() for person in found if person.email]),
    ):
        # One who answers under two names would count twice.
        for value in values:
            if values.count(value) > 1:
                raise _wrong(f"has {what} {value!r} twice")
    return found


def _approver(row: Any, number: int) -> Approver:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise _wrong(f"has no name in entry {number}")
    name = row["name"]
    if not _NAME.fullmatch(name):
        raise _wrong(f"has the name {name!r}; letters, digits and . _ @ - are allowed")
    if strange := sorted(set(row) - _FIELDS):
        raise _wrong(f"has the field {strange[0]!r} for {name}")
    forms = row.get("aws") or []
    forms = [forms] if isinstance(forms, str) else forms
    texts = [row.get("slack") or "", row.get("email") or "", *forms]
    if not isinstance(forms, list) or not all(isinstance(text, str) for text in texts):
        raise _wrong(f"has something else than text for {name}")
    slack, email, *aws = (text.strip() for text in texts)
    aws = [form for form in aws if form]
    if not (slack or email or aws):
        raise _wrong(f"has no way for {name} to answer: slack, email or aws")
    return Approver(name, slack, tuple(dict.fromkeys(aws)), email)


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"APPROVERS {what}", hint=f"correct the stack's parameter Approvers: {_FORM}"
    )
