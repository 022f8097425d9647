"""The schema between two migrations: kept by ``up``, and compared by ``down``.

It is kept in the user's cache, under a name made of what the history says. So it is found again
only where the same migrations are applied, at the same times, to the same database.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import time
from functools import cached_property
from typing import TYPE_CHECKING

from turnback.engine import Engine
from turnback.errors import TurnbackError
from turnback.migrations.model import Project
from turnback.recovery.contents import Identity, identify
from turnback.rehearsal.cache import FolderStates, cache_folder
from turnback.runs.schema_before import (
    Compared,
    KeptSchema,
    compare_with_kept,
    differences_from,
    read_schema,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# That of a thousand tables has 30 kB.
_LIMIT_BYTES = 64 * 2**20
# So much of a run is spent on it. A thousand tables are read in 0.1 s.
_BUDGET_S = 2.0
# A run of more migrations sends several in one message, so there is no schema between them.
_APART = 10


class KeptSchemas:
    """The schemas that the database of an engine had.

    None of this fails a command: what cannot be read or kept is not compared.

    Args:
        engine: of the database.
        project: the migrations.
    """

    def __init__(self, engine: Engine, project: Project) -> None:
        self._engine, self._project = engine, project
        self._store = FolderStates(cache_folder() / "schemas", _LIMIT_BYTES)
        self._spent_s = 0.0
        self._seen: tuple[str, bytes] | None = None

    @staticmethod
    def between(steps: int) -> bool:
        """Whether the schemas between so many migrations are kept, and not only the first."""
        return steps <= _APART

    def look(self) -> None:
        """Read the schema as it is, and keep the one of the last look.

        So what a migration found that fails is not kept: somebody else may have half of it there.
        """
        self.keep()
        if self._spent_s > _BUDGET_S:
            return
        began = time.monotonic()
        try:
            self._seen = self._name(), read_schema(self._engine, self._project).encode()
        except TurnbackError:
            # Once is enough: a lock would be waited for each time.
            self._spent_s = _BUDGET_S
        self._spent_s += time.monotonic() - began

    def keep(self) -> None:
        """Keep the schema of the last look."""
        if self._seen:
            name, body = self._seen
            self._seen = None
            with contextlib.suppress(TurnbackError, OSError):
                self._store.write(name, gzip.compress(body, 1))

    def changed_by_others(self) -> Sequence[str]:
        """What differs from the schema that the last run has left; empty where it was not kept."""
        found = self._read()
        if found is None:
            return ()
        with contextlib.suppress(TurnbackError):
            return [str(one) for one in differences_from(self._engine, found)[0]]
        return ()

    def compare(self, when: str, others: Sequence[str]) -> Compared:
        """Compare the schema with what it was when the same migrations were applied.

        Args:
            when: that was, after "as": ``it was before 0004``.
            others: from ``changed_by_others``, before the rollback.
        """
        found = self._read()
        if found is None:
            note = (
                f"the schema was not compared with what {when}; this is only kept on the machine "
                f"that applied the migrations, and of runs of at most {_APART}"
            )
            return Compared("unknown", (note,))
        try:
            return compare_with_kept(self._engine, found, when, others)
        except TurnbackError as error:
            return Compared("unknown", (f"the schema could not be compared: {error.message}",))

    def _read(self) -> KeptSchema | None:
        try:
            body = self._store.read(self._name())
            return KeptSchema.from_state(json.loads(gzip.decompress(body))) if body else None
        except (TurnbackError, OSError, EOFError, ValueError):
            return None

    @cached_property
    def _database(self) -> Identity:
        return identify(self._engine.connection, self._engine.history.schema)

    def _name(self) -> str:
        """By what is applied, and when; may raise what the server says."""
        engine = self._engine
        applied = [
            (entry.version, entry.checksum, entry.applied_at)
            for entry in engine.entries()
            if entry.applied
        ]
        again = [(one.version, one.checksum) for one in engine.repeatable_entries() if one.applied]
        database = (self._database.name, self._database.system, engine.history.schema)
        known = json.dumps([database, sorted(applied), sorted(again)])
        return hashlib.sha256(known.encode()).hexdigest()
