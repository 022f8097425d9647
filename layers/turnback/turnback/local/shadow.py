"""The shadow of a rehearsal on this machine: on an embedded Postgres of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.local.contrib import contrib, fetch_contrib
from turnback.local.programs import binaries, server_account
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import scripts_of
from turnback.rehearsal.cache import FolderStates, cache_folder
from turnback.rehearsal.containment import contained
from turnback.rehearsal.folder import MEMORY, has_room
from turnback.rehearsal.platform import scripts_before
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.shadow import Shadow, needed_bytes, refuse_full_disk
from turnback.rehearsal.stored import Chosen, Stored, build_of
from turnback.rehearsal.surroundings import Surroundings
from turnback.settings.environment import CodeRule


@contextlib.contextmanager
def throw_away(
    chosen: Chosen,
    surroundings: Surroundings | None,
    *,
    store: bool,
    note: Callable[[str], None],
    warn: Callable[[str], None],
) -> Iterator[Shadow]:
    """A shadow on a server that exists for the block.

    Args:
        chosen: what is rehearsed.
        surroundings: what the shadow gets of the target; None where no target is known.
        store: whether it may begin with a stored state, and store one; see rehearsal.stored.
        note: called with a sentence about how it is made.
        warn: called with what is otherwise than on the target.

    Raises:
        OutOfSpace: there is no room for it.
        ConfigurationError, InvalidMigration: the project's shadow.sql does not run.
        DatabaseUnreachable: the server does not start.
    """
    texts = [one.code_head for one in scripts_of(chosen.project)]
    texts += [one.sql for one in scripts_before(chosen.project, surroundings)]
    wanted = set(surroundings.extensions if surroundings else ())
    if "pgcrypto" in wanted or any("pgcrypto" in text for text in texts):
        try:
            fetch_contrib(note)
        except ConfigurationError as error:
            warn(f"{error.message}. The shadow database has a stand-in for it.")
    memory = in_memory(needed_bytes(chosen.project))
    if not memory:
        refuse_full_disk(chosen.project)
    account = server_account(note)
    stored = Stored(
        FolderStates(cache_folder() / "states") if store else None,
        chosen,
        surroundings,
        build_of([binaries() / "postgres"], contrib()),
        (account.uid, account.gid) if account else None,
        note,
    )
    with scratch("shadow", memory) as folder, contained():
        parked = stored.unpack(folder / POSTGRES)
        with EmbeddedServer.start(
            folder / POSTGRES, fast=True, authentication=AUTHENTICATION
        ) as server:
            where = f", in memory ({memory})" if memory else ""
            note(f"The shadow database is on a throw-away embedded Postgres{where}.")
            shadow = Shadow.on_throw_away(server.url(), parked)
            shadow.surroundings = surroundings
            shadow.code = CodeRule.OWN
            stored.build_up(shadow, server)
            if shadow.stored:
                note(f"It begins with the stored state of version {shadow.stored['version']}.")
            yield shadow


def in_memory(needed: int) -> Path | None:
    """The folder in memory for a server of so many bytes; None if a variable names another one.

    Rows that migrations make themselves may take much more, so there has to be ten times the room.
    """
    if any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")):
        return None
    return MEMORY if has_room(MEMORY, 10 * needed) else None
