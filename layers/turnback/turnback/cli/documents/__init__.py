"""What ``--json`` prints, command by command: the source of docs/reference/commands.schema.json.

Nothing of it runs: the tests hold every document that a command prints to the schema. A key that is
not required is there as far as the command came; a document that ends with an error has ``error``.
"""

from __future__ import annotations

from turnback.cli.documents import database, files, rehearsal, stack

DOCUMENTS: dict[str, type] = {
    "init": files.Init,
    "adopt": files.Adopt,
    "leave": files.Leave,
    "generate": files.Generate,
    "check": files.Check,
    "rebase": files.Rebase,
    "lint": files.Lint,
    "explain": files.Explain,
    "package": files.Package,
    "status": database.StatusReport,
    "health": database.HealthReport,
    "repair": database.Repair,
    **dict.fromkeys(("db create", "db drop", "db wait", "db stop"), database.DbChange),
    "db reset": database.DbReset,
    **dict.fromkeys(("db start", "db url"), database.DbAddress),
    "config": files.Config,
    "locks": database.Locks,
    "rehearse": rehearsal.Rehearse,
    "checklist": rehearsal.Checklist,
    "up": database.Up,
    "down": database.Down,
    "redo": database.Redo,
    "backfill status": database.BackfillStatus,
    **{
        f"backfill {word}": database.BackfillChange
        for word in ("pause", "resume", "speed", "cancel")
    },
    "release": stack.Release,
    "runs": stack.Runs,
    "resume": stack.Resume,
    "watch": stack.Watch,
    "approve": stack.Approve,
    "emergency start": stack.Emergency,
    "cancel": stack.Cancel,
    "backup": stack.Backup,
    "snapshots": stack.Snapshots,
    "restore": stack.Restore,
}
