"""What the documents of several commands have in common."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

# How any command may end, and what those that change something end with else.
Unfinished = Literal["failed", "refused", "busy", "unreachable", "needs_a_person", "interrupted"]
Done = Literal["succeeded", "nothing_to_do"]


class ErrorReport(TypedDict, total=False):
    """What stopped a command, or was found.

    Attributes:
        type: the name of the error, as `turnback explain NAME` and the state machine know it.
        file: relative to the folder of the migrations.
        line: in the file, from 1.
        column: in the line, from 1, in characters.
        sqlstate: PostgreSQL's code (manual, appendix A).
        hint: what to do next.
        version: of the migration, where an error is listed with others.
        findings: where several were found at once.
    """

    type: Required[str]
    message: Required[str]
    file: Required[str | None]
    line: Required[int | None]
    column: Required[int | None]
    sqlstate: Required[str | None]
    hint: Required[str | None]
    version: str | None
    findings: list[ErrorReport]


class Document(TypedDict, total=False):
    """What every command has.

    Attributes:
        error: null where the command says that there was none.
        findings: where several were found at once, and the command could not begin.
    """

    warnings: list[str]
    error: ErrorReport | None
    findings: list[ErrorReport]


class Refused(Document, total=False):
    """Wrong usage, of any command: its name as far as it is known."""

    command: Required[str | None]
    status: Required[Literal["refused"]]


class Connected(Document, total=False):
    """A command that connects to the database.

    Attributes:
        run: its id in the log of the history, if it writes there.
        database: host, port and name, or `embedded`; never with a password.
    """

    run: str | None
    database: str | None


class Plain(Document, total=False):
    """A command that says only whether it has done something."""

    status: Required[Done | Unfinished]


class DumpSnapshot(TypedDict, total=False):
    """A dump; of a dry run only what is known before it.

    Attributes:
        id: the path of the dump, or its `s3://` address.
        target: name of the database in turnback.
        run: what `restore` takes.
        release: the release that was applied last.
        schema_version: the migration that was applied last; null without a history.
        taken_at: ISO 8601 time that its data is as of.
        sha256: of the dump.
        entries: how many objects it has.
        encrypted: how; null where it is not.
        system: the server's system identifier.
        first: the first entry of the history, by which the database is known again.
        limits: what a restore will not bring back, or not as it was.
        needs: what another server must have before a restore.
    """

    kind: Literal["dump"]
    id: Required[str]
    target: str
    run: str
    release: str | None
    schema_version: str | None
    history_schema: str
    database: str
    database_bytes: int
    server_version: str
    taken_at: str
    sha256: str
    bytes: int
    entries: int
    encrypted: str | None
    limits: list[str]
    needs: list[str]
    system: str | None
    first: str | None
    search_path: str | None


class RdsSnapshot(TypedDict, total=False):
    """A snapshot of RDS or Aurora; of a dry run only what is known before it.

    Attributes:
        id: its identifier in RDS.
        source: the instance or cluster.
        state: in the words of RDS.
        taken_at: ISO 8601; null while it is being taken.
        gigabytes: of the storage.
    """

    kind: Required[Literal["rds", "aurora"]]
    id: Required[str]
    source: Required[str]
    target: str | None
    stack: str | None
    run: str | None
    release: str | None
    schema_version: str | None
    state: str
    taken_at: str | None
    encrypted: bool | None
    gigabytes: int | None
