"""Stored states: a rehearsal begins where the same migrations have led before.

Where the migrations before the chosen ones do much, to apply them again is most of a rehearsal. So
the data directory of the server is kept as it is after them, under a name made of all that made it:
the build of the server, the version of turnback, what was taken from the target, ``shadow.sql``,
and the scripts of each migration in order. A rehearsal uses the state of no other name, and none
that its checksum does not fit.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

from turnback import __version__
from turnback.engine.session import events
from turnback.errors import TurnbackError
from turnback.migrations.model import Migration, Project, Script
from turnback.rehearsal.cluster import UnusableArchive, pack, unpack
from turnback.rehearsal.database import ShadowDatabase
from turnback.rehearsal.extensions import FOLDER as STAND_INS
from turnback.rehearsal.platform import scripts_before
from turnback.rehearsal.shadow import Parked, Shadow, ThrowAway
from turnback.rehearsal.surroundings import Surroundings

# What has changed in the format since the last release of turnback.
_FORMAT = 1
# What is applied faster is applied again: to store it and to start from it takes as long.
SLOW_S = 2.0
# A migration may depend on the time at which it runs.
_DAYS = 30
_BYTES = 1024 * 2**20
_PACKED_BYTES = 128 * 2**20
_DIGEST = hashlib.sha256().digest_size


class States(Protocol):
    """Where states are kept."""

    def names(self) -> Iterable[str]:
        """The names of those that are there."""

    def read(self, name: str) -> bytes | None:
        """One of them; None if it does not exist any more."""

    def write(self, name: str, body: bytes) -> None:
        """Keep one, whole or not at all."""


def build_of(files: Iterable[Path], contrib: Path | None) -> str:
    """What tells one build of the server from another.

    Args:
        files: its program, and what its data directory is made from.
        contrib: the folder with the extensions of another build; None if it does not exist.
    """
    more = contrib.rglob("*.*") if contrib else ()
    found = (*files, *sorted(more), *sorted(STAND_INS.glob("*.sql")))
    return _hash(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in found))


@dataclass(frozen=True)
class Chosen:
    """What is rehearsed.

    Attributes:
        project: all migrations.
        migrations: those to prove, oldest first.
        history_schema: where turnback's own tables are, on the target as on the shadow.
    """

    project: Project
    migrations: Sequence[Migration]
    history_schema: str

    @cached_property
    def before(self) -> Sequence[Migration]:
        """The migrations before those to prove."""
        return self.project.before(self.migrations[0].version) if self.migrations else ()


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored states that one rehearsal may begin with.

    Attributes:
        states: where they are kept; None where none is used or stored.
        chosen: what is rehearsed.
        surroundings: what the shadow database gets of the target.
        build: of the server; see build_of.
        owner: user and group that run the server; None is ourselves.
        say: called with a sentence where a state is not used or cannot be stored.
    """

    states: States | None
    chosen: Chosen
    surroundings: Surroundings | None
    build: str
    owner: tuple[int, int] | None
    say: Callable[[str], None]

    def unpack(self, data: Path) -> Parked | None:
        """Make a data directory of the latest state that there is; None if it does not exist.

        Args:
            data: the directory, which does not exist.
        """
        if self.states is None or not self.chosen.before:
            return None
        try:
            there = set(self.states.names())
        except (OSError, TurnbackError) as error:
            self.say(f"no stored state is used: {error}")
            return None
        for migration, name in reversed([*zip(self.chosen.before, self._names(), strict=True)]):
            if name in there:
                try:
                    return self._unpacked(self.states.read(name) or b"", name, data)
                except (UnusableArchive, OSError, TurnbackError) as error:
                    self.say(f"the stored state of {migration.version} is not used: {error}")
        return None

    def _unpacked(self, found: bytes, name: str, data: Path) -> Parked:
        digest, body = found[:_DIGEST], found[_DIGEST:]
        if digest != _digest(name, body):
            raise UnusableArchive("it was changed, or it was stored under another name")
        about, _, archive = body.partition(b"\n")
        parked = Parked.from_dict(json.loads(about))
        if datetime.now(UTC) - parked.began > timedelta(days=_DAYS):
            raise UnusableArchive(f"it is older than {_DAYS} days")
        unpack(archive, data, self.owner)
        return parked

    def build_up(self, shadow: Shadow, server: ThrowAway) -> None:
        """Apply what comes before the chosen migrations, and store that where it took long.

        It is the first shadow database that the rehearsal gets. Stored or not, its sessions end
        here: what a script has set for new sessions applies to the chosen migrations, as it does
        on the target.

        Raises:
            ConfigurationError, InvalidMigration: the project's shadow.sql does not run.
            DatabaseUnreachable, DatabaseRefused: the shadow cannot be used.
        """
        if not self.chosen.before:
            return
        began = time.monotonic()
        with ShadowDatabase(
            self.chosen.project, shadow, self.chosen.history_schema, events.silent
        ) as database:
            if database.build(self.chosen.before):
                # The rehearsal meets it again, and reports it.
                shadow.stored = None
                return
            parked = database.park(self.chosen.before)
        if self.states and time.monotonic() - began >= SLOW_S:
            with shadow.at_rest(server) as data:
                if data:
                    self._store(self.states, parked, data)

    def _store(self, states: States, parked: Parked, data: Path) -> None:
        *_, name = self._names()
        try:
            body = json.dumps(parked.to_dict()).encode() + b"\n" + pack(data, _BYTES)
            if len(body) > _PACKED_BYTES:
                raise UnusableArchive(f"it has more than {_PACKED_BYTES >> 20} MB")
            states.write(name, _digest(name, body) + body)
        except (UnusableArchive, OSError, TurnbackError) as error:
            self.say(f"the state of {self.chosen.before[-1].version} is not stored: {error}")

    def _names(self) -> Iterator[str]:
        """The name of the state after each of the migrations before the chosen ones."""
        surroundings = asdict(self.surroundings) if self.surroundings else None
        name = _hash(
            *(_FORMAT, __version__, self.build, self.chosen.history_schema, surroundings),
            *map(_read, scripts_before(self.chosen.project, self.surroundings)),
        )
        for one in self.chosen.before:
            scripts = map(_read, (one.forward, one.rollback, one.verify))
            name = _hash(name, one.version, one.name, *scripts)
            yield name


def _read(script: Script | None) -> list[str] | None:
    """What is run of a file, and what the file is."""
    if script is None:
        return None
    text = hashlib.sha256()
    for block in script.blocks():
        text.update(block.encode())
    return [script.path, script.checksum, text.hexdigest()]


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digest(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode() + body).digest()
