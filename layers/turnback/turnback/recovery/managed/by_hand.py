"""A restore that a person asks for: which one it is, and what is known of the database before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from turnback.engine.look.history import History
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.recovery.contents import counters, last_applied
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.managed.database import (
    RESTORED_BY,
    ManagedDatabase,
    is_of,
    is_ready,
    kept_name,
    restored_name,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The restore that is asked for.

    Attributes:
        run: what its names are made of.
        begun: whether something of it stands already.
        done: whether the restored one has the old one's name already.
    """

    run: str
    begun: bool = False
    done: bool = False


def asked_for(
    find: Callable[[str], ManagedDatabase | None],
    live: str,
    source: str,
    *,
    own: str | None = None,
    again: bool = False,
) -> Asked:
    """Which restore is meant: the one that was begun and not ended, or a new one.

    The name of a restore by hand is made of what it restores, so that the same command finds what
    an earlier one began, and goes on there. A number tells restores of the same source apart.

    Args:
        find: what stands under a name in RDS.
        live: the name that the endpoint belongs to.
        source: the snapshot's identifier, or the point in time.
        own: the run of the snapshot, whose own restore may have stopped half way.
        again: whether to restore once more what was restored from this source already.
    """
    first = f"hand-{sha256(source.encode()).hexdigest()[:10]}"
    stands = find(live)
    owner = stands.tags.get(RESTORED_BY, "") if stands else ""
    number = re.fullmatch(rf"{first}(?:-(\d+))?", owner)
    is_ours = bool(number or (own and owner == own))
    # Before it has settled, the command that restored it again was cut off.
    if stands and is_ours and not (again and is_ready(stands)):
        return Asked(owner, begun=True, done=True)
    if own and owner != own and _is_under_way(find, live, own, gone=stands is None):
        return Asked(own, begun=True)
    start = int(number[1] or 1) + 1 if number else 1
    for count in itertools.count(start):
        run = first if count == 1 else f"{first}-{count}"
        if is_of(find(restored_name(live, run)), run):
            return Asked(run, begun=True)
        if find(kept_name(live, run)) is None:
            break
        # Its old one is kept: it has ended, unless its second rename goes on, and neither of
        # the names is there.
        before = run
    if stands is None and count > start:
        return Asked(before, begun=True)
    return Asked(run)


def _is_under_way(
    find: Callable[[str], ManagedDatabase | None], live: str, run: str, *, gone: bool
) -> bool:
    if is_of(find(restored_name(live, run)), run):
        return True
    return gone and find(kept_name(live, run)) is not None


@dataclass(frozen=True, slots=True)
class Known:
    """What the database itself says before a snapshot of it is taken.

    Attributes:
        version: the version last applied; None where there is no history.
        release: the release that applied it; None where no release did.
        counters: of written rows.
    """

    version: str | None
    release: str | None
    counters: dict[str, Any] = field(repr=False)


def known_of(endpoint: Endpoint, history_schema: str) -> Known:
    """Ask the database for its version, its release and its row counters.

    Raises:
        DatabaseUnreachable, DatabaseRefused: there is no answer, or it is no.
    """
    with connect(
        endpoint.conninfo(), application_name="turnback backup", options=Options()
    ) as connection:
        version = last_applied(connection, history_schema)
        release = History(connection, history_schema).last_release() if version else None
        return Known(version, release, counters(connection))
