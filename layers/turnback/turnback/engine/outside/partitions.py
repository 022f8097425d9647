"""Partitions that DETACH CONCURRENTLY has left half detached.

It works in two transactions; from the first one on only FINALIZE is not refused (manual, ALTER
TABLE).
"""

from __future__ import annotations

from turnback.engine.session.message import Connection, Quiet, rows, send
from turnback.engine.session.watch import mend
from turnback.sql.quoting import literal, relation_name
from turnback.sql.statements import Statement


def finish(connection: Connection, statement: Statement, watch: Quiet | None = None) -> bool:
    """Complete what was begun and can only go forward: a partition that is half detached.

    Whoever began it, and however that ended: DETACH is refused from then on, and only FINALIZE
    is not (manual, ALTER TABLE). Returns whether the statement has done its work with that.
    """
    if statement.kind != "AlterTableStmt":
        return False
    names = _detached(statement)
    if names is None or not _detach_pending(connection, *names):
        return False
    _finalize(connection, *names, watch)
    return True


def finish_before(connection: Connection, statement: Statement, watch: Quiet | None = None) -> None:
    """Detach to the end what this statement attaches, where that was left half done."""
    names = _attached(statement)
    if names and _detach_pending(connection, *names):
        _finalize(connection, *names, watch)


def half_detached(connection: Connection, statement: Statement) -> bool | None:
    """Whether what this statement detaches is half detached.

    None if it is no partition of its parent any more, or the statement detaches none.
    """
    names = _detached(statement) if statement.kind == "AlterTableStmt" else None
    return _detach_pending(connection, *names) if names else None


def attached(connection: Connection, statement: Statement) -> bool:
    """Whether the partition that this statement attaches is attached."""
    names = _attached(statement)
    return names is not None and _detach_pending(connection, *names) is False


def detaches(statement: Statement) -> bool:
    """Whether this is a DETACH PARTITION."""
    return statement.kind == "AlterTableStmt" and _detached(statement) is not None


def _finalize(connection: Connection, parent: str, child: str, watch: Quiet | None) -> None:
    mend(connection, f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE", watch)


def _attached(statement: Statement) -> tuple[str, str] | None:
    """Parent and partition of an ATTACH PARTITION; None for any other statement."""
    if statement.kind != "AlterTableStmt":
        return None
    if statement.tree["cmds"][0]["AlterTableCmd"]["subtype"] != "AT_AttachPartition":
        return None
    return _parent_and_child(statement)


def _detached(statement: Statement) -> tuple[str, str] | None:
    """Parent and partition of a DETACH PARTITION; None for any other ALTER TABLE."""
    return _parent_and_child(statement)


def _parent_and_child(statement: Statement) -> tuple[str, str] | None:
    command = statement.tree["cmds"][0]["AlterTableCmd"]
    child = command.get("def", {}).get("PartitionCmd", {}).get("name")
    return (relation_name(statement.tree["relation"]), relation_name(child)) if child else None


def _detach_pending(connection: Connection, parent: str, child: str) -> bool | None:
    """Whether the partition is half detached; None if it is none of this parent."""
    query = (
        "SELECT inhdetachpending FROM pg_catalog.pg_inherits "
        f"WHERE inhparent = pg_catalog.to_regclass({literal(parent)}) "
        f"AND inhrelid = pg_catalog.to_regclass({literal(child)})"
    )
    found = rows(send(connection, query)[0])
    return found[0][0] == "t" if found else None
