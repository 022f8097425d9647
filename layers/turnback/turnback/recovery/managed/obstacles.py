"""What a restore by RDS would meet, found while nothing has happened yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from turnback.errors import AwsError, ConfigurationError
from turnback.recovery.managed.database import KEPT_PREFIX, ManagedDatabase, password_after
from turnback.recovery.model import STACK_TAG

Row = Mapping[str, Any]


class RestorableService(Protocol):
    """The part of RDS that is looked at, for instances or for clusters."""

    def row(self, identifier: str) -> Row | None:
        """The one of this name as RDS describes it, or None."""

    def keys(self, row: Row) -> set[str]:
        """The keys of KMS that a restored one is encrypted with."""

    def switching(self, row: Row) -> Sequence[str]:
        """The blue/green deployments that it is in."""

    def pending(self, row: Row) -> Sequence[str]:
        """What RDS will do to it in a maintenance window."""


class Key(Protocol):
    """A key of KMS."""

    @property
    def of_aws(self) -> bool:
        """Whether it needs no rights of ours."""

    @property
    def state(self) -> str:
        """``Enabled``, or why it cannot be used."""


def obstacles(
    service: RestorableService,
    identifier: str,
    *,
    known_keys: Sequence[str],
    describe_key: Callable[[str], Key],
    members: Sequence[ManagedDatabase] = (),
    stack: str,
) -> list[str]:
    """Look at what would be restored.

    Args:
        service: RDS.
        identifier: the instance or cluster.
        known_keys: the keys that the functions may use.
        describe_key: asks KMS; raises AwsError where it cannot be asked.
        members: the instances of a cluster.
        stack: the stack whose tag lets its functions rename them.

    Returns:
        What would delay a restore, or leave it incomplete, a sentence each; nothing if it does
        not exist, which the snapshot will say.

    Raises:
        ConfigurationError: no restore would be possible, because of a key.
        AwsError: RDS cannot be asked.
    """
    row = service.row(identifier)
    if row is None:
        return []
    found = []
    if row.get("MasterUserSecret"):
        found.append(password_after(identifier, f"{KEPT_PREFIX}{identifier}-…"))
    for key in sorted(service.keys(row)):
        found += _key_notes(identifier, key, known_keys, describe_key)
    try:
        switch, pending = service.switching(row), service.pending(row)
    except AwsError as error:
        found.append(f"what RDS plans for {identifier} is not known: {error.message}")
    else:
        if switch:
            found.append(
                f"{identifier} is in the blue/green deployment {', '.join(switch)}: RDS renames "
                "nothing in one, so a restored database could not take its place"
            )
        if pending:
            found.append(
                f"RDS waits for a maintenance window of {identifier}: {', '.join(pending)}"
            )
    strange = [
        one.id
        for one in members
        if not one.id.startswith(f"{identifier}-") and one.tags.get(STACK_TAG) != stack
    ]
    if strange:
        found.append(
            f"after a restore, the new instances cannot take the names of {', '.join(strange)}: "
            f"give them the tag {STACK_TAG} with the value {stack}"
        )
    return found


def _key_notes(
    identifier: str, key: str, known: Sequence[str], describe: Callable[[str], Key]
) -> list[str]:
    """What is to be said of a key that RDS encrypts the database with."""
    try:
        described = describe(key)
    except AwsError as error:
        if key in known:
            return []
        return [
            f"whether the key {key} of {identifier} is one of AWS is not known: {error.message}; "
            "if it is not, set DatabaseKmsKeyArn, or no restore is possible"
        ]
    if not described.of_aws and key not in known:
        raise ConfigurationError(
            f"{identifier} is encrypted with {key}, which turnback may not use to restore it",
            hint="set the stack's parameter DatabaseKmsKeyArn to it and deploy again",
        )
    if described.state != "Enabled":
        raise ConfigurationError(
            f"the key {key} of {identifier} is {described.state}: nothing can be restored with it",
            hint="enable it in KMS, then release again",
        )
    return []
