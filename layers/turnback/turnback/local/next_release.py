"""The demo's second release: three more migrations, of which the last fails."""

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
# The mistake: the table of priorities was never made.
PRIORITY = """\
ALTER TABLE study_goals ADD COLUMN priority_id integer;

ALTER TABLE study_goals ADD FOREIGN KEY (priority_id) REFERENCES study_priorities (id);
"""
# Name, forward, rollback; oldest first.
NEW = (
    ("study_goals", GOALS, "DROP TABLE study_goals;\n"),
    (
        "node_archived",
        "ALTER TABLE knowledge_nodes ADD COLUMN archived_at timestamptz;\n",
        "ALTER TABLE knowledge_nodes DROP COLUMN archived_at;\n",
    ),
    ("study_goal_priority", PRIORITY, "ALTER TABLE study_goals DROP COLUMN priority_id;\n"),
)


@dataclass(frozen=True, slots=True)
class FailingRelease:
    """Where the project with the new migrations is, and what is known of its failure.

    Attributes:
        folder: the migrations.
        versions: of the new migrations, oldest first.
        file: the one that fails, as messages name it.
        line: the line of its second statement, which fails.
    """

    folder: Path
    versions: tuple[str, ...]
    file: str
    line: int


def write_failing_release(migrations: Path, folder: Path) -> FailingRelease:
    """Copy a project and add the migrations.

    Args:
        migrations: the example project's folder.
        folder: where to; must not exist.
    """
    shutil.copytree(migrations, folder)
    project = load_project(folder)
    last = project.migrations[-1].version
    sums = {script.path: script.checksum for script in scripts_of(project)}
    versions, file, line = [], "", 0
    for number, (name, forward, rollback) in enumerate(NEW, int(last) + 1):
        version = str(number).zfill(len(last))
        head = f"-- Migration: {name}\n-- Version: {version}\n\n"
        file = f"sql/{version}_{name}.sql"
        for path, text in ((file, head + forward), (f"rollback/{version}_rollback.sql", rollback)):
            (folder / path).write_text(text)
            sums[path] = digest(text.encode())
        line = 1 + (head + forward).rstrip().count("\n")
        versions.append(version)
    write_sums(folder, sums)
    return FailingRelease(folder, tuple(versions), file, line)
