"""The application, as a release meets it: people go on to write while the release is at work."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

from turnback.errors import DatabaseRefused
from turnback.local.binaries import binaries, clean_environment
from turnback.local.server import EmbeddedServer

PEOPLE = 3
# It ends by itself where no such table comes, and holds up no index then.
LONGEST_SECONDS = 60
# In one transaction, which has to be over before an index can be built CONCURRENTLY: so all of it
# is written after the snapshot, and before the migration that builds one can fail.
_SQL = f"""
DO $$
BEGIN
    -- Asking the table of tables, since a name that was not there is remembered as absent.
    WHILE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'study_goals') LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    INSERT INTO users (email, display_name)
    SELECT 'new-' || number || '@example.com', 'New ' || number
    FROM generate_series(1, {PEOPLE}) AS number;
    INSERT INTO study_goals (user_id, node_id)
    SELECT users.id, (SELECT id FROM knowledge_nodes ORDER BY title, id LIMIT 1)
    FROM users WHERE email LIKE 'new-%';
END
$$;
"""


class SignUps:
    """An application that waits for the table of its new release, and signs people up then."""

    def __init__(self, server: EmbeddedServer, database: str) -> None:
        """Describe it; a ``with`` block lets it work.

        Args:
            server: where the database is.
            database: its name.
        """
        self._command = [
            *(str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
            *("--command", f"SET statement_timeout = '{LONGEST_SECONDS}s'", "--command", _SQL),
            *("--dbname", server.socket_url(database)),
        ]
        self._process: subprocess.Popen[str] | None = None

    def written(self) -> dict[str, int]:
        """How many rows it has written into which table, once it has.

        Raises:
            DatabaseRefused: it could not.
        """
        assert self._process
        try:
            _, said = self._process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DatabaseRefused("The application still waits for its new table.") from error
        if self._process.returncode:
            raise DatabaseRefused(f"The application could not write: {said.strip()}")
        return {"public.users": PEOPLE, "public.study_goals": PEOPLE}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=clean_environment(), stderr=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process
        self._process.kill()
        self._process.communicate()
