"""Partitions in the middle of DETACH CONCURRENTLY.

It works in two transactions; after the first one only FINALIZE is accepted (manual, ALTER TABLE).
"""

from __future__ import annotations

from turnback.engine.session.message import Connection, Watcher
from turnback.engine.session.query import relation_oid, scalar
from turnback.engine.session.watch import send_cleanup
from turnback.sql.quoting import relation_name
from turnback.sql.statements import Statement


def finish_detach(connection: Connection, statement: Statement, watch: Watcher | None) -> bool:
    """Finalize the detach that this statement repeats, whoever began it; whether there was one."""
    return _finalize_pending(connection, _names(statement), watch)


def finish_detach_before(
    connection: Connection, statement: Statement, watch: Watcher | None
) -> None:
    """Finalize a pending detach of the partition that this statement attaches."""
    if _subtype(statement) == "AT_AttachPartition":
        _finalize_pending(connection, _names(statement), watch)


def detach_pending(connection: Connection, statement: Statement) -> bool | None:
    """Whether the detach of this statement's partition is pending.

    None if the partition is not attached to its parent, or the statement has no partition.
    """
    names = _names(statement)
    return _pending(connection, *names) if names else None


def is_attached(connection: Connection, statement: Statement) -> bool:
    """Whether the partition that this statement attaches is attached already."""
    if _subtype(statement) != "AT_AttachPartition":
        return False
    return detach_pending(connection, statement) is False


def has_partition(statement: Statement) -> bool:
    """Whether this is an ATTACH PARTITION or DETACH PARTITION."""
    return _names(statement) is not None


def _subtype(statement: Statement) -> str | None:
    if statement.kind != "AlterTableStmt":
        return None
    subtype: str = statement.tree["cmds"][0]["AlterTableCmd"]["subtype"]
    return subtype


def _names(statement: Statement) -> tuple[str, str] | None:
    """Parent and partition of an ATTACH or DETACH PARTITION; None for any other statement."""
    if statement.kind != "AlterTableStmt":
        return None
    command = statement.tree["cmds"][0]["AlterTableCmd"]
    child = command.get("def", {}).get("PartitionCmd", {}).get("name")
    return (relation_name(statement.tree["relation"]), relation_name(child)) if child else None


def _finalize_pending(
    connection: Connection, names: tuple[str, str] | None, watch: Watcher | None
) -> bool:
    if names is None or not _pending(connection, *names):
        return False
    parent, child = names
    send_cleanup(connection, f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE", watch)
    return True


def _pending(connection: Connection, parent: str, child: str) -> bool | None:
    oids = {"parent": relation_oid(connection, parent), "child": relation_oid(connection, child)}
    sql = (
        "SELECT inhdetachpending FROM pg_catalog.pg_inherits "
        "WHERE inhparent OPERATOR(pg_catalog.=) %(parent)s "
        "AND inhrelid OPERATOR(pg_catalog.=) %(child)s"
    )
    found: bool | None = scalar(connection, sql, oids)
    return found
