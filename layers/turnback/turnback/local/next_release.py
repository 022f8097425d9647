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
AGE_BACK = """\
ALTER TABLE user_preferences ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
"""
INDEX_BACK = """
CREATE INDEX user_preferences_name_idx ON user_preferences (name, updated_at);
"""
FORGOTTEN = "user_preferences_name_idx"
# Right on an empty database, and on any whose titles differ by more than their case.
SLUG = """\
ALTER TABLE knowledge_nodes
    ADD COLUMN slug varchar(200) GENERATED ALWAYS AS (lower(title)) STORED;

ALTER TABLE knowledge_nodes ADD CONSTRAINT knowledge_nodes_slug_key UNIQUE (slug);
"""
# What the application writes between the releases; two authors chose the same title.
ROWS = """\
INSERT INTO users (email, display_name)
VALUES ('ada@example.com', 'Ada'), ('carl@example.com', 'Carl');
INSERT INTO knowledge_nodes (title, author_id)
SELECT title, id
FROM users, LATERAL (VALUES ('Fractions'), ('Primes by ' || display_name)) AS t (title);
"""


@dataclass(frozen=True, slots=True)
class NewRelease:
    """Where the project with the new migrations is, and what is known of them.

    Attributes:
        folder: the migrations.
        versions: of the new migrations, oldest first.
        forgetful: the rollback that forgets an index, as messages name it.
        file: the migration that fails on real rows, as messages name it.
        line: the line of its second statement, which fails.
    """

    folder: Path
    versions: tuple[str, ...]
    forgetful: str
    file: str
    line: int


def write_release(migrations: Path, folder: Path, *, mended: bool) -> NewRelease:
    """Copy a project and add three migrations.

    Args:
        migrations: the example project's folder.
        folder: where to; must not exist.
        mended: whether the second one's rollback brings everything back.
    """
    shutil.copytree(migrations, folder)
    project = load_project(folder)
    last = project.migrations[-1].version
    sums = {script.path: script.checksum for script in scripts_of(project)}
    new = (
        ("study_goals", GOALS, "DROP TABLE study_goals;\n"),
        ("preferences_without_age", AGE, AGE_BACK + (INDEX_BACK if mended else "")),
        ("node_slug", SLUG, "ALTER TABLE knowledge_nodes DROP COLUMN slug;\n"),
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
