"""Every error turnback raises on purpose.

The class names are an API: the state machine matches them in ``ErrorEquals`` (Step Functions
compares the exact name and knows no inheritance), and a contract test holds them to it. Rename
one, and a rollback is silently switched off.

The tree, with the exit code of the command line::

    TurnbackError
    ├── ConfigurationError      2  wrong usage or settings
    │   ├── CodeNotAllowed      2  a migration is in Python, which may not run here
    │   ├── ProjectNotFound     2  no migrations where they were looked for
    │   ├── UnknownVersion      2  no such version here
    │   └── HistoryConflict     2  the history tables belong to someone else, or to a newer turnback
    ├── CheckFailed             3  several findings at once
    ├── InvalidMigration        3  a file that cannot be used as it is
    ├── DuplicateVersion        3  two files with one version
    ├── RollbackMissing         3  no rollback script for this migration
    ├── RollbackUnproven        3  the rehearsal did not restore the schema
    ├── ChecksumMismatch        3  a file differs from what was recorded
    ├── MigrationMissing        3  applied, but its file is gone
    ├── OutOfOrder              3  older than what is applied
    ├── InvalidArtifact         3  the zip is refused
    ├── ReleaseTooOld           3  lower than the release last applied
    ├── MigrationFailed         1  failed, and was rolled back whole
    ├── MigrationIncomplete     6  failed outside a transaction: what ran before it remains
    ├── RollbackFailed          1  a rollback script failed, and was rolled back itself
    ├── VerificationFailed      6  the history is not what the plan said
    ├── BackfillNotDone         4  a migration waits for a backfill that still goes on
    ├── RunnerBusy              4  another run holds the lock
    ├── BaseChanged             4  others changed the database after the run was planned
    ├── TurnLost                4  another run has the turn of one that was taken up again
    ├── LockTimeout             4  a table's lock was not available in time
    ├── DatabaseUnreachable     5  no answer
    │   └── DatabaseNotReady    5  it starts, stops, or accepts no writes yet: a failover, a standby
    ├── DatabaseRefused         5  an answer, and it is no
    ├── SnapshotFailed          5  no snapshot, so nothing was changed
    ├── RestoreFailed           6  the restore did not end; the old database is kept
    ├── ApprovalDenied          3  a person said no
    ├── ApprovalExpired         3  nobody approved in time
    ├── ApprovalRefused         3  this answer to a question does not count
    ├── RunCancelled            1  a person stopped the run
    ├── ApplicationNotStopped   5  the application could not be stopped, or started again
    ├── AwsError                5  AWS cannot be reached, or refuses
    ├── ChatUnreachable         5  the chat did not take a message; no run depends on it
    ├── OutOfSpace              5  less free space in /tmp than is needed
    └── UnexpectedError         6  something that turnback did not expect, in a function
"""

from __future__ import annotations

import errno
import json
import shutil
from typing import Any

_MORE_SPACE = "free some; a function has what the stack's parameter TmpMegabytes gives it"


class TurnbackError(Exception):
    """turnback cannot go on."""

    exit_code = 2

    def __init__(
        self,
        message: str | None = None,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        statement: str | None = None,
        sqlstate: str | None = None,
        hint: str | None = None,
        version: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Keep what happened, where, and what to do next.

        Args:
            message: what happened, one sentence; without one, the docstring of the class.
            file: path of the file, as the user knows it.
            line: line in that file, from 1.
            column: column in that line, in characters, from 1.
            statement: the SQL that failed.
            sqlstate: the server's five-character code (PostgreSQL manual, appendix A).
            hint: what to do next.
            version: version of the migration concerned.
            detail: what the server says with values of rows in it, or the SQL of another session:
                for a terminal of somebody who has the database's rights, never published or kept.
        """
        self.message = message or (self.__doc__ or "").splitlines()[0]
        self.file = file
        self.line = line
        self.column = column
        self.statement = statement
        self.sqlstate = sqlstate
        self.hint = hint
        self.version = version
        self.detail = detail
        self._as_json = False
        super().__init__(self.message)

    @property
    def where(self) -> str:
        """``file:line:column`` as far as known, or an empty string."""
        parts = [self.file, self.line, self.column] if self.file else []
        return ":".join(str(part) for part in parts if part is not None)

    def to_dict(self) -> dict[str, Any]:
        """The error as the ``--json`` output and the state machine carry it."""
        fields = ("message", "file", "line", "column", "sqlstate", "hint")
        return {"type": type(self).__name__, **{name: getattr(self, name) for name in fields}}

    def machine_readable(self) -> TurnbackError:
        """Make ``str()`` give JSON, and return the error itself.

        Lambda reports an exception by its class name and its ``str()`` only; in this form, file
        and line reach the state machine.
        """
        self._as_json = True
        return self

    def __str__(self) -> str:
        if self._as_json:
            return json.dumps({**self.to_dict(), "version": self.version})
        where = self.where
        return f"{where}: {self.message}" if where else self.message


class ConfigurationError(TurnbackError):
    """The command or its settings are wrong."""


class CodeNotAllowed(ConfigurationError):
    """A migration is in Python, which may not run here."""


class ProjectNotFound(ConfigurationError):
    """There are no migrations here."""


class HistoryConflict(ConfigurationError):
    """The history tables belong to something else, or to a newer turnback."""


class UnknownVersion(ConfigurationError):
    """There is no migration of this version."""


class CheckFailed(TurnbackError):
    """A check found something."""

    exit_code = 3

    def __init__(self, message: str | None = None, *, findings: list[TurnbackError], **where: Any):
        super().__init__(message, **where)
        self.findings = findings

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "findings": [finding.to_dict() for finding in self.findings]}


class InvalidMigration(TurnbackError):
    """A migration file cannot be used as it is."""

    exit_code = 3


class DuplicateVersion(TurnbackError):
    """Two migrations have the same version."""

    exit_code = 3


class RollbackMissing(TurnbackError):
    """A migration has no rollback script."""

    exit_code = 3


class RollbackUnproven(TurnbackError):
    """A rehearsal did not prove the rollback; nothing was changed."""

    exit_code = 3


class ChecksumMismatch(TurnbackError):
    """A file differs from what was recorded."""

    exit_code = 3


class MigrationMissing(TurnbackError):
    """A migration is applied, but its file is gone."""

    exit_code = 3


class OutOfOrder(TurnbackError):
    """A pending migration is older than one that is applied."""

    exit_code = 3


class InvalidArtifact(TurnbackError):
    """The artifact is refused."""

    exit_code = 3


class ReleaseTooOld(TurnbackError):
    """The release is lower than the one last applied."""

    exit_code = 3


class MigrationFailed(TurnbackError):
    """A migration failed and was rolled back."""

    exit_code = 1


class MigrationIncomplete(TurnbackError):
    """A migration failed outside a transaction; what ran before it remains."""

    exit_code = 6


class RollbackFailed(TurnbackError):
    """A rollback script failed; the migration is still applied."""

    exit_code = 1


class VerificationFailed(TurnbackError):
    """The database is not what the plan said it would be."""

    exit_code = 6


class RunnerBusy(TurnbackError):
    """Another run is working on this database."""

    exit_code = 4


class BackfillNotDone(TurnbackError):
    """A migration waits for the backfill of an earlier one, which still goes on."""

    exit_code = 4


class BaseChanged(TurnbackError):
    """Others changed the database after the run was planned; the run changed nothing."""

    exit_code = 4


class TurnLost(TurnbackError):
    """The run was taken up again after its turn had passed."""

    exit_code = 4


class LockTimeout(TurnbackError):
    """A lock was not available in time; nothing was changed."""

    exit_code = 4


class DatabaseUnreachable(TurnbackError):
    """The database does not answer."""

    exit_code = 5


class DatabaseNotReady(DatabaseUnreachable):
    """The database starts, stops, fails over or is a standby; later it may accept writes."""


class DatabaseRefused(TurnbackError):
    """The database refuses us."""

    exit_code = 5


class SnapshotFailed(TurnbackError):
    """The snapshot could not be taken; nothing was changed."""

    exit_code = 5


class RestoreFailed(TurnbackError):
    """The database could not be restored; the old one is kept."""

    exit_code = 6


class ApprovalDenied(TurnbackError):
    """A person denied the approval."""

    exit_code = 3


class ApprovalExpired(TurnbackError):
    """Nobody approved in time."""

    exit_code = 3


class ApprovalRefused(TurnbackError):
    """This answer does not count."""

    exit_code = 3


class RunCancelled(TurnbackError):
    """A person stopped the run."""

    exit_code = 1


class ApplicationNotStopped(TurnbackError):
    """The application could not be stopped, or started again."""

    exit_code = 5


class AwsError(TurnbackError):
    """AWS cannot be reached, or refuses us."""

    exit_code = 5


class ChatUnreachable(TurnbackError):
    """The chat did not take the message."""

    exit_code = 5


class OutOfSpace(TurnbackError):
    """There is not enough space on disk."""

    exit_code = 5

    @classmethod
    def refuse(cls, folder: str, needed: int, what: str) -> None:
        """Refuse what needs more bytes than a folder has free.

        Args:
            folder: where it would be.
            needed: in bytes.
            what: it is, for the message.

        Raises:
            OutOfSpace: it does not fit.
        """
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise cls(
                f"{what} needs {needed:,} bytes in {folder}, which has {free:,} bytes free",
                hint=_MORE_SPACE,
            )


class UnexpectedError(TurnbackError):
    """Something that turnback did not expect."""

    exit_code = 6

    @classmethod
    def of(cls, error: Exception) -> UnexpectedError:
        """The error, with its class and the first line of its text: others may have values."""
        first = next(iter(str(error).splitlines()), "")
        hint = "see the function's log; if the same input fails again, report it with the log"
        if isinstance(error, MemoryError):
            hint = "give the function more memory in the stack's template or parameters"
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
            hint = _MORE_SPACE
        return cls(f"{type(error).__name__}: {first}".rstrip(": "), hint=hint)
