"""Instances and clusters of RDS: which restore made them, and whether they can be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from turnback.recovery.managed.snapshots import has_ended

# The run that restored an instance or a cluster. A rename keeps the tag.
RESTORED_BY = "turnback-restored-by"
# On an instance of a restored cluster: the name that it is to have in the end.
INSTEAD_OF = "turnback-instead-of"

# The names of what a restore makes, and of what it keeps, begin with these; template.yaml lets the
# functions change nothing else, apart from the database itself.
RESTORED_PREFIX = "turnback-restored-"
KEPT_PREFIX = "turnback-before-"

# In these states it answers and can be renamed: optimizing its storage may take days.
USABLE = {"available", "storage-optimization"}


class ManagedDatabase(Protocol):
    """An instance or a cluster as RDS describes it."""

    @property
    def id(self) -> str:
        """Its identifier."""

    @property
    def resource(self) -> str:
        """The identifier that no rename changes."""

    @property
    def status(self) -> str:
        """In the words of RDS."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""

    @property
    def host(self) -> str | None:
        """The host of its endpoint; None before it has one."""

    @property
    def port(self) -> int | None:
        """The port of its endpoint."""

    @property
    def engine(self) -> str:
        """``postgres``, ``aurora-postgresql``."""

    @property
    def restorable_until(self) -> datetime | None:
        """Until when a restore to a point in time is possible; None where it is not at all."""

    @property
    def changing(self) -> bool:
        """Whether a modification waits to be done."""

    @property
    def major(self) -> str:
        """The major version of PostgreSQL."""

    @property
    def has_managed_password(self) -> bool:
        """Whether RDS keeps the master password in a secret, and rotates it."""


def password_after(live: str, kept: str) -> str:
    """What becomes of a master password that RDS manages, when a restore has kept the old one."""
    return (
        f"RDS manages the master password of {live}: after a restore the secret is that of the old "
        f"one ({kept}), for which RDS goes on rotating it. Let RDS manage the password of the "
        "restored one before the next rotation, and name its secret in DatabaseSecretArn"
    )


def is_of(standing: ManagedDatabase | None, run: str) -> bool:
    """Whether this run's restore made it."""
    return standing is not None and standing.tags.get(RESTORED_BY) == run


def is_ready(standing: ManagedDatabase) -> bool:
    """Whether it answers, and nothing more happens to it."""
    return standing.status in USABLE and not standing.changing


def is_lost(standing: ManagedDatabase) -> bool:
    """Whether waiting for it is of no use."""
    return has_ended(standing.status)


def restored_name(identifier: str, run: str) -> str:
    """The name of what a run restores, before it takes the old one's place."""
    return _name(RESTORED_PREFIX, identifier, run)


def kept_name(identifier: str, run: str) -> str:
    """The name of the old one, after a run's restore took its place."""
    return _name(KEPT_PREFIX, identifier, run)


def _name(prefix: str, identifier: str, run: str) -> str:
    """``<prefix><identifier>-<run>`` in what RDS takes: 63 letters, digits and single hyphens.

    A name that had to be cut or changed ends in a hash, so that no two runs share one. The prefix
    is never cut: the policies of the functions go by it.
    """
    wanted = f"{identifier}-{run}"
    name = _hyphenated(wanted)
    if name == wanted and len(prefix + name) <= 63:
        return prefix + name
    end = sha256(wanted.encode()).hexdigest()[:12]
    start = _hyphenated(identifier)[: 63 - len(f"{prefix}-{end}")].strip("-")
    return prefix + "-".join(part for part in (start, end) if part)


def _hyphenated(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
