"""The demo's later releases: one whose rollback forgets something, one that meets real rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from turnback.migrations.checksums import digest, scripts_of, write_sums
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
# An index goes with its column, and nobody thinks of it any more.
AGE = "ALTER TABLE user_preferences DROP COLUMN updated_at;\n"
# Right on an empty table, and refused as soon as there is a row: it has no value for it.
AGE_BACK = """\
ALTER TABLE user_preferences ADD COLUMN updated_at timestamptz NOT NULL;
ALTER TABLE user_preferences ALTER COLUMN updated_at SET DEFAULT now();
"""
INDEX_BACK = """
CREATE INDEX user_preferences_name_idx ON user_preferences (name, updated_at);
"""
FORGOTTEN = "user_preferences_name_idx"
# Both outside a transaction: the first stays when the second fails, which is right on any
# database whose titles differ by more than their case.
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
    """Where the project with the new migrations is, and what is known of them.

    Attributes:
        folder: the migrations.
        versions: of the new migrations, oldest first.
        second_rollback: the rollback that forgets an index, or fails on real rows, as messages
            name it.
        file: the migration that fails on real rows, as messages name it.
        line: the line of its second statement, which fails.
    """

    folder: Path
    versions: tuple[str, ...]
    second_rollback: str
    file: str
    line: int


def write_release(migrations: Path, folder: Path, *, mended: bool) -> NewRelease:
    """Copy a project and add three migrations.

    Args:
        migrations: the example project's folder.
        folder: where to; must not exist.
        mended: whether the second one's rollback brings the whole schema back.
    """
    shutil.copytree(migrations, folder)
    project = load_project(folder)
    last = project.migrations[-1].version
    sums = {script.path: script.checksum for script in scripts_of(project)}
    new = (
        ("study_goals", GOALS, "DROP TABLE study_goals;\n"),
        ("preferences_without_age", AGE, AGE_BACK + (INDEX_BACK if mended else "")),
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
