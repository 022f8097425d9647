"""The names of the databases of a restore, and the marks that tell how far it is."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from hashlib import sha256

# NAMEDATALEN is 64: the server cuts longer names, and then two would be one.
_LONGEST = 63
_KIND = "turnback restore"
# A run of the command line, r-20261122T101112Z-a1b2c3, as the name of a database has it.
_BY_HAND = re.compile(r"_restore_r_(\d{8})t(\d{6})z_([0-9a-f]{6})$")

RESTORING = "restoring"
COMPLETE = "complete"
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Names:
    """The databases of one restore.

    Attributes:
        current: the name that the application knows.
        successor: where the dump is restored to.
        kept: what the old database is called afterwards.
    """

    current: str
    successor: str
    kept: str

    @classmethod
    def of(cls, database: str, run: str) -> Names:
        """The same names for the same restore, 63 bytes at most."""
        return cls(database, _derived(database, "restore", run), _derived(database, "before", run))


@dataclass(frozen=True, slots=True)
class Mark:
    """What a database's comment says of it while it is part of a restore.

    Attributes:
        state: ``restoring``, ``complete`` (the dump is in it, whole) or ``kept`` (the old one).
        run: of which restore.
        sha256: of the dump.
        taken_at: as of when its data is.
        comment: the comment that the old database had.
    """

    state: str
    run: str
    sha256: str
    taken_at: str
    comment: str | None = None

    def text(self) -> str:
        """As a comment."""
        return json.dumps({"what": _KIND, **asdict(self)}, ensure_ascii=False)


def read_mark(comment: str | None) -> Mark | None:
    """The mark in a comment; None when it is somebody else's comment, or none."""
    try:
        fields = json.loads(comment or "")
        if fields.pop("what") != _KIND:
            return None
        return Mark(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def run_by_hand(successor: str) -> str | None:
    """The run of the command line that restores into this database; None if the name tells none."""
    found = _BY_HAND.search(successor)
    return None if found is None else "r-{}T{}Z-{}".format(*found.groups())


def _derived(database: str, word: str, run: str) -> str:
    name = f"{database}_{word}_{re.sub(r'[^a-z0-9]+', '_', run.lower()).strip('_')}"
    if len(name.encode()) <= _LONGEST:
        return name
    tail = f"_{word}_{sha256(f'{database}/{run}'.encode()).hexdigest()[:12]}"
    # A character of several bytes is not cut through.
    head = database.encode()[: _LONGEST - len(tail)].decode(errors="ignore")
    return head + tail
