"""The demo's later releases, and the application that writes while the third one runs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from turnback.errors import DatabaseRefused
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer
from turnback.migrations.checksums import checksums_of, digest, write_sums
from turnback.migrations.discovery import load_project

GOALS = """\
CREATE TABLE study_goals (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    node_id     uuid NOT NULL REFERENCES knowledge_nodes (id) ON DELETE CASCADE,
    due_on      date,
    CONSTRAINT study_goals_once_key UNIQUE (user_id, node_id)
);

CREATE INDEX study_goals_node_id_idx ON study_goals (node_id);
"""
# Dropping the column drops an index with it, which the rollback script forgets.
AGE = "ALTER TABLE user_preferences DROP COLUMN updated_at;\n"
# Works on an empty table; fails on existing rows, which have no value for the column.
AGE_BACK = """\
ALTER TABLE user_preferences ADD COLUMN updated_at timestamptz NOT NULL;
ALTER TABLE user_preferences ALTER COLUMN updated_at SET DEFAULT now();
"""
INDEX_BACK = """
CREATE INDEX user_preferences_name_idx ON user_preferences (name, updated_at);
"""
FORGOTTEN = "user_preferences_name_idx"
# Both run outside a transaction: the first index remains when the second fails, as it does on a
# database where two titles differ only by their case.
TITLES = """\
CREATE INDEX CONCURRENTLY knowledge_nodes_created_at_idx ON knowledge_nodes (created_at);

CREATE UNIQUE INDEX CONCURRENTLY knowledge_nodes_title_key ON knowledge_nodes (lower(title));
"""
TITLES_BACK = """\
DROP INDEX CONCURRENTLY knowledge_nodes_title_key;

DROP INDEX CONCURRENTLY knowledge_nodes_created_at_idx;
"""
# What the application writes between the releases; two authors chose the same title.
ROWS = """\
INSERT INTO users (email, display_name)
VALUES ('ada@example.com', 'Ada'), ('carl@example.com', 'Carl');
INSERT INTO knowledge_nodes (title, author_id)
SELECT title, id
FROM users, LATERAL (VALUES ('Fractions'), ('Primes by ' || display_name)) AS t (title);
INSERT INTO user_preferences (user_id, name, value, updated_at)
SELECT id, name, 'true', timestamptz '2026-03-01 09:00Z' + length(name) * interval '1 hour'
FROM users, LATERAL (VALUES ('weekly_digest'), ('dark_mode')) AS t (name);
"""


@dataclass(frozen=True, slots=True)
class NewRelease:
    """The project with the new migrations, and the places that messages will name.

    Attributes:
        folder: the migrations.
        versions: of the new migrations, oldest first.
        second_rollback: the rollback script that forgets an index, or fails on real rows.
        file: the migration that fails on real rows.
        line: the line of its second statement, which fails.
    """

    folder: Path
    versions: tuple[str, ...]
    second_rollback: str
    file: str
    line: int


def write_release(migrations: Path, folder: Path, *, complete: bool) -> NewRelease:
    """Copy a project and add three migrations.

    Args:
        migrations: the example project's folder.
        folder: where to; must not exist.
        complete: whether the second rollback script restores the whole schema.
    """
    shutil.copytree(migrations, folder)
    project = load_project(folder)
    last = project.migrations[-1].version
    sums = checksums_of(project)
    new = (
        ("study_goals", GOALS, "DROP TABLE study_goals;\n"),
        ("preferences_without_age", AGE, AGE_BACK + (INDEX_BACK if complete else "")),
        ("node_titles", TITLES, TITLES_BACK),
    )
    versions, file, line = [], "", 0
    for number, (name, forward, rollback) in enumerate(new, int(last) + 1):
        version = str(number).zfill(len(last))
        head = f"-- Migration: {name}\n-- Version: {version}\n-- Date: 2026-11-22\n\n"
        file = f"sql/{version}_{name}.sql"
        for path, text in (
            (file, head + forward),
            (f"rollback/{version}_rollback.sql", head + rollback),
        ):
            (folder / path).write_text(text)
            sums[path] = digest(text.encode())
        line = 1 + (head + forward).rstrip().count("\n")
        versions.append(version)
    write_sums(folder, sums)
    return NewRelease(folder, tuple(versions), f"rollback/{versions[1]}_rollback.sql", file, line)


PEOPLE = 3
# It ends by itself if the table is never created.
LONGEST_SECONDS = 60
# One transaction, which must end before an index can be built CONCURRENTLY. So all rows are written
# after the snapshot and before the migration that builds the index can fail.
_SQL = f"""
DO $$
BEGIN
    -- Reads pg_class, because a failed name lookup would be cached.
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


class SignUpApplication:
    """An application that waits for the new release's table, then signs people up."""

    def __init__(self, server: EmbeddedServer, database: str) -> None:
        """Prepare it; a ``with`` block runs it.

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
        """Wait until it has written; table → number of rows.

        Raises:
            DatabaseRefused: it could not.
        """
        assert self._process
        try:
            _, said = self._process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DatabaseRefused("The application is still waiting for its new table.") from error
        if self._process.returncode:
            raise DatabaseRefused(f"The application could not write: {said.strip()}")
        return {"public.users": PEOPLE, "public.study_goals": PEOPLE}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=clean_environment(), stderr=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()
        self._process.communicate()
