"""What stands in a database after a run, and whether the reports of it are true."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from turnback.schema.compare import compare, verdict
from turnback.schema.model import Fingerprint
from turnback.schema.read import fingerprint

from tests.faults.recovery_cells import TRACES


@dataclass(frozen=True)
class Standing:
    """A database: its schema, a checksum of each table's rows, and its history.

    Attributes:
        statuses: of each version that the history knows.
        applied: version and checksum of what is applied.
    """

    schema: Fingerprint
    rows: Mapping[str, str]
    statuses: Mapping[str, str]
    applied: tuple[tuple[str, str], ...]

    def is_as(self, other: Standing) -> bool:
        """The same schema, rows and applied migrations, whatever else the history tells."""
        return (
            verdict(compare(other.schema, self.schema)) == "exact"
            and self.rows == other.rows
            and self.applied == other.applied
        )


def look(url: str) -> Standing:
    """What stands in this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        schema = fingerprint(connection, history_schema="public")
        names = [
            name
            for (name,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
                "AND tablename NOT LIKE 'migration%' ORDER BY 1"
            )
        ]
        rows = {}
        for name in names:
            query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(name))
            text = "\n".join(row for (row,) in connection.execute(query))
            rows[name] = hashlib.sha256(text.encode()).hexdigest()
        statuses = dict(
            connection.execute("SELECT version, status FROM migration_health").fetchall()
        )
        applied = connection.execute(
            "SELECT version, checksum FROM migrations WHERE success AND rolled_back_at IS NULL "
            "ORDER BY 1"
        ).fetchall()
    return Standing(schema, rows, statuses, tuple(applied))


def untrue(
    message: Mapping[str, Any],
    report: Mapping[str, Any],
    found: Standing,
    without: Standing,
) -> list[str]:
    """What a run's last message says of its migrations that the database does not; as sentences.

    Args:
        message: the last message.
        report: ``report.json``.
        found: the database after the run.
        without: the database without any of them.
    """
    wrong = []
    for row in message["migrations"]:
        version, word = row["version"], row["status"]
        status = found.statuses.get(version)
        if word in ("restored", "backfilling"):
            continue
        stands = status == "applied"
        if (word == "applied") != stands and word != "failed":
            wrong.append(f"{version} is reported as {word}, and the history says {status}")
        if word == "rolled_back" and status != "rolled_back":
            wrong.append(f"{version} is reported as rolled back, and the history says {status}")
        if word == "pending" and status == "rolled_back" and version not in without.statuses:
            wrong.append(f"{version} is reported as pending, and the run has rolled it back")
        if word == "failed" and stands and message["direction"] == "up":
            wrong.append(f"{version} is reported as failed, and the history says {status}")
        wrong += _traces(version, word, found, without)
    undone = {v for v, s in found.statuses.items() if s == "rolled_back"}
    if message["status"] != "restored" and set(message["rolled_back"]) != undone:
        wrong.append(
            f"reported as rolled back: {message['rolled_back']}, and it is {sorted(undone)}"
        )
    if report and {row["version"] for row in report.get("rolled_back", [])} != set(
        message["rolled_back"]
    ):
        wrong.append("the report tells of other rollbacks than the message")
    return wrong


def _traces(version: str, word: str, found: Standing, without: Standing) -> list[str]:
    """What of a version's objects is not as it was, though it is reported as rolled back."""
    changed = {
        name
        for name in TRACES[version]
        if found.schema.objects.get(name) != without.schema.objects.get(name)
    }
    if changed and word in ("pending", "rolled_back"):
        return [f"{version} is reported as {word}, and of it there stands {sorted(changed)}"]
    if not changed and word == "applied":
        return [f"{version} is reported as applied, and nothing of it is there"]
    return []
