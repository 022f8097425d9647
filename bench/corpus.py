"""The small migrations of the benchmarks, written for each tool: a table and an index a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

TABLES = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^item_[0-9]+$'"


def forward(number: int) -> str:
    """The SQL of one small migration."""
    return (
        f"CREATE TABLE item_{number} (\n"
        "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "    name text NOT NULL,\n"
        "    amount numeric(12, 2),\n"
        "    active boolean NOT NULL DEFAULT true,\n"
        "    created_at timestamptz NOT NULL DEFAULT now()\n"
        ");\n"
        f"CREATE INDEX item_{number}_name_idx ON item_{number} (name);\n"
    )


def backward(number: int) -> str:
    """The SQL that takes it back."""
    return f"DROP TABLE item_{number};\n"


def write_project(folder: Path, size: int) -> Path:
    """A project for turnback of so many migrations, with rollbacks and SHA256SUMS."""
    for name in ("sql", "rollback"):
        (folder / name).mkdir(parents=True)
    sums = []
    for number in range(1, size + 1):
        files = {
            f"rollback/{number:04}_rollback.sql": backward(number),
            f"sql/{number:04}_item_{number}.sql": forward(number),
        }
        for path, text in files.items():
            (folder / path).write_text(text, encoding="utf-8")
            sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n")
    sums.sort(key=lambda line: line[66:])
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return folder


def write_dbmate_project(folder: Path, size: int) -> Path:
    """The same migrations for dbmate, which keeps both directions in one file."""
    folder.mkdir(parents=True)
    for number in range(1, size + 1):
        text = f"-- migrate:up\n{forward(number)}\n-- migrate:down\n{backward(number)}"
        (folder / f"{number:04}_item_{number}.sql").write_text(text, encoding="utf-8")
    return folder


def write_script(path: Path, texts: list[str], *, transactions: bool = True) -> Path:
    """One script of several texts, each in BEGIN and COMMIT, or none of them."""
    form = "BEGIN;\n{}COMMIT;\n" if transactions else "{}"
    path.write_text("".join(form.format(text) for text in texts), encoding="utf-8")
    return path
