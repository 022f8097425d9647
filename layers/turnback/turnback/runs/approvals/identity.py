"""Which approver somebody is, by the name that AWS, Slack or a link has for them.

One person has several names in AWS: the user id ``AIDA…``, the ARN of the user, and for an assumed
role the role's id with the session's name, or the ARN of the session, or the role alone. None of
them can be turned into another without asking IAM, so each is compared in the form it comes in
(IAM User Guide, "Unique identifiers" and "Principals").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from turnback.settings.approvals import Approver

# What precedes the identity in a run's trigger: `upload:AWS:AIDA…`, `release:arn:aws:…`.
_WAYS = re.compile(r"^(?:upload|release|manual|restore|cancel):(?:AWS:)?|^AWS:", re.IGNORECASE)
_ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d*):([a-z-]+)/(.+)")
_ID = re.compile(r"(A[A-Z0-9]{11,})(?::(.+))?")


def by_slack(approvers: Iterable[Approver], user: str) -> Approver | None:
    """The approver with this Slack id."""
    return next((person for person in approvers if user and person.slack == user), None)


def by_name(approvers: Iterable[Approver], name: str) -> Approver | None:
    """The approver of this name."""
    return next((person for person in approvers if person.name == name), None)


def by_aws(approvers: Sequence[Approver], identities: Iterable[str]) -> Approver | None:
    """The approver with one of these identities; an exact match comes before a role.

    Args:
        identities: user id and ARN of the caller, from STS.
    """
    known = list(identities)
    for forms in (_exact, _all):
        theirs = {form for identity in known for form in forms(identity)}
        for person in approvers:
            if theirs & {form for identity in person.aws for form in _exact(identity)}:
                return person
    return None


def triggered(trigger: str, person: Approver, identities: Iterable[str] = ()) -> bool:
    """Whether this person started the run, as far as their names can be compared.

    In doubt it is: a session or an IAM user with their name or e-mail address counts, whatever
    the role or the account.

    Args:
        trigger: what started the run, and who, as in the order.
        person: the approver who answers.
        identities: further identities of them, from STS.
    """
    who = _WAYS.sub("", trigger.strip())
    starter = _all(who)
    own = {form for identity in (*person.aws, *identities) for form in _exact(identity)}
    if starter & own:
        return True
    session = _session(who)
    if not session:
        return False
    names = {person.name.lower(), person.email.lower()}
    names |= {_session(identity) for identity in (*person.aws, *identities)}
    return session in names - {""}


def _exact(identity: str) -> set[str]:
    """The identity in one comparable form; an empty text has none."""
    text = _WAYS.sub("", identity.strip())
    if found := _ARN.fullmatch(text):
        account, kind, path = found.groups()
        if kind == "assumed-role":
            role, _, session = path.partition("/")
            return {f"session {account} {role} {session}"}
        # Names are unique in an account, whatever their path.
        return {f"{kind} {account} {path.rpartition('/')[2]}"}
    return {text} if text else set()


def _all(identity: str) -> set[str]:
    """The identity in every form that contains it: the session, and the role without it."""
    text = _WAYS.sub("", identity.strip())
    forms = _exact(text)
    if found := _ARN.fullmatch(text):
        account, kind, path = found.groups()
        if kind == "assumed-role":
            forms.add(f"role {account} {path.partition('/')[0]}")
    elif (named := _ID.fullmatch(text)) and named[2]:
        forms.add(named[1])
    return forms


def _session(identity: str) -> str:
    """The session's or the user's name in an identity, in lower case; empty without one."""
    text = _WAYS.sub("", identity.strip())
    found = _ARN.fullmatch(text)
    if found and found[2] == "assumed-role":
        return found[3].partition("/")[2].lower()
    if found and found[2] == "user":
        return found[3].rpartition("/")[2].lower()
    named = _ID.fullmatch(text)
    return (named[2] or "").lower() if named else ""
