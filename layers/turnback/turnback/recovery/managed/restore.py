"""The swap: a restored instance or cluster takes the old one's name, and with it the endpoint.

The endpoint of RDS is made of the identifier, so renaming keeps it (RDS User Guide, "Renaming a DB
instance"). A rename takes minutes, in which neither name may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from turnback.errors import AwsError, DatabaseRefused, DatabaseUnreachable, RestoreFailed
from turnback.recovery.managed.database import (
    RESTORED_BY,
    USABLE,
    ManagedDatabase,
    is_lost,
    is_of,
    is_ready,
    kept_name,
    password_after,
    restored_name,
)
from turnback.recovery.model import (
    STACK_TAG,
    Place,
    RestoreProgress,
    RestoreRequest,
    RestoreState,
)


class SwapService(Protocol):
    """The part of RDS that is needed, for instances or for clusters.

    What begins something returns None, or the reason why RDS does not do it now.
    """

    def find(self, identifier: str) -> ManagedDatabase | None:
        """The instance or cluster of this name, or None."""

    def all(self) -> Sequence[ManagedDatabase]:
        """All instances, or clusters, of this account and Region."""

    def restore_snapshot(
        self, identifier: str, like: str, snapshot: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new one from a snapshot, with the settings of another."""

    def restore_time(
        self, identifier: str, like: str, until: datetime, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new one as another was at a time, with its settings."""

    def finish(self, identifier: str, like: str) -> str | None:
        """Give it the settings that a restore does not take; None when it has them."""

    def rename(self, identifier: str, new: str) -> str | None:
        """Begin to give it another name."""

    def by_hand(self, identifier: str, new: str) -> str:
        """The command that a person renames it with."""


class Swap:
    """One restore of one instance or cluster, looked at from the outside at every call."""

    def __init__(
        self,
        what: str,
        identifier: str,
        service: SwapService,
        request: RestoreRequest,
        stack: str,
    ) -> None:
        """Look at this restore.

        Args:
            what: ``instance`` or ``cluster``, for people.
            identifier: the name that the endpoint belongs to.
            service: RDS.
            request: what to come back to.
            stack: the stack that the database belongs to.
        """
        self.request = request
        self.live = identifier
        self.new = restored_name(identifier, request.run)
        self.kept = kept_name(identifier, request.run)
        # The functions may change only what carries their stack's tag.
        self.tags = {RESTORED_BY: request.run, STACK_TAG: stack}
        self._what = what
        self._service = service

    def advance(
        self,
        prepare: Callable[[ManagedDatabase, ManagedDatabase], RestoreProgress | None] | None = None,
    ) -> RestoreProgress | None:
        """Do the next step.

        Args:
            prepare: adds to the restored one what it lacks, given it and the old one, and returns
                how far that is; None when it is complete.

        Returns:
            How far it is; None when the restored one has the name and is there.

        Raises:
            RestoreFailed: it cannot end well by itself.
        """
        live, kept, new = map(self._service.find, (self.live, self.kept, self.new))
        if live is not None and is_of(live, self.request.run):
            return self._settling(live)
        if kept is not None:
            return self._second_rename(live, kept, new)
        if live is None:
            if is_of(new, self.request.run):
                return self.swapping(f"{self.live} is being renamed to {self.kept}")
            raise RestoreFailed(
                f"there is no {self._what} {self.live}, whose settings a restore would copy",
                hint="restore it by hand, and deploy with its identifier: "
                "docs/backup.md#rds-and-aurora",
            )
        if new is None:
            return self._begin(live)
        if not is_of(new, self.request.run):
            raise RestoreFailed(
                f"the name {self.new}, that the restore needs, is taken by another {self._what}",
                hint="rename or delete it in RDS, then turnback restore RUN; nothing was changed",
            )
        if live.status == "renaming":
            # Nothing of the old one can be relied on now: its instances are of neither name.
            return self.swapping(f"{self.live} is being renamed to {self.kept}")
        return self._prepared(live, new, prepare) or self._first_rename(live)

    def restoring(self, detail: str) -> RestoreProgress:
        """The new one is being made."""
        return RestoreProgress(RestoreState.RESTORING, detail)

    def swapping(self, detail: str, *, kept: bool = False) -> RestoreProgress:
        """Names are changed; ``kept`` once the old one has its new name."""
        return RestoreProgress(RestoreState.SWAPPING, detail, kept=self.kept if kept else None)

    def lost(self, standing: ManagedDatabase) -> RestoreFailed:
        """The error for a new one that will never be there; nothing was renamed."""
        return RestoreFailed(
            f"the restored {standing.id} is {standing.status}; {self.live} is unchanged",
            hint=f"look at its events in RDS, delete {standing.id}, then turnback restore RUN",
        )

    def restored(self) -> RestoreProgress:
        """The end, and what a person has to know of it."""
        kept = self._service.find(self.kept)
        detail = f"{self.live} is restored; the old one is " + (
            f"kept as {self.kept}" if kept else "not there any more"
        )
        if kept and kept.has_managed_password:
            detail += f". {password_after(self.live, self.kept)}"
        return RestoreProgress(
            RestoreState.RESTORED,
            detail,
            kept=self.kept if kept else None,
            restored_to=self._restored_to(),
        )

    def _restored_to(self) -> str | None:
        if self.request.until is not None:
            return self.request.until.isoformat()
        return self.request.snapshot.taken_at if self.request.snapshot else None

    def _begin(self, live: ManagedDatabase) -> RestoreProgress:
        tags = self.tags
        until, snapshot = self.request.until, self.request.snapshot
        if until is not None:
            latest = live.restorable_until
            if latest is None:
                raise RestoreFailed(
                    f"{self.live} keeps no backups, so no point in time can be restored",
                    hint="restore from the snapshot; set its backup retention for the next time",
                )
            if until > datetime.now(UTC):
                raise RestoreFailed(
                    f"{until.isoformat()} has not come yet; {self.live} can be restored until "
                    f"{latest.isoformat()}"
                )
            if until > latest:
                return self.restoring(
                    f"{self.live} can be restored until {latest.isoformat()} only as yet; "
                    f"{until.isoformat()} was asked for"
                )
            reason = self._service.restore_time(self.new, self.live, until, tags)
        elif snapshot is not None and snapshot.id:
            reason = self._service.restore_snapshot(self.new, self.live, snapshot.id, tags)
        else:
            raise RestoreFailed("there is neither a snapshot nor a time to restore from")
        return self.restoring(reason or f"{self.new} is being restored")

    def _prepared(
        self,
        live: ManagedDatabase,
        new: ManagedDatabase,
        prepare: Callable[[ManagedDatabase, ManagedDatabase], RestoreProgress | None] | None,
    ) -> RestoreProgress | None:
        """How far the new one is; None when it is whole, and what was asked for."""
        if is_lost(new):
            raise self.lost(new)
        if not is_ready(new):
            return self.restoring(f"{new.id} is {new.status}")
        if reason := self._service.finish(new.id, live.id):
            return self.restoring(reason)
        return (prepare(new, live) if prepare else None) or self._checked(new)

    def _checked(self, new: ManagedDatabase) -> RestoreProgress | None:
        try:
            self.request.check(Place(host=new.host, port=new.port))
        except DatabaseUnreachable as error:
            return RestoreProgress(
                RestoreState.CHECKING, f"{new.id} does not answer yet: {error.message}"
            )
        except (RestoreFailed, DatabaseRefused) as error:
            raise RestoreFailed(
                f"{error.message}; the restored {self._what} is named {new.id}, and {self.live} "
                "is unchanged",
                hint=f"{error.hint or 'look at it'}; then rename by hand, or delete {new.id}",
            ) from error
        return None

    def _first_rename(self, live: ManagedDatabase) -> RestoreProgress:
        if is_lost(live):
            raise RestoreFailed(
                f"the restored {self._what} is named {self.new}, but {self.live} is "
                f"{live.status}, and RDS cannot rename it",
                hint=f"bring it back to 'available' and turnback restore RUN, or let the "
                f"application connect to {self.new}",
            )
        # What waits for its maintenance window may wait for days: it is no reason to wait here.
        if live.status not in USABLE:
            return self.swapping(f"{self.live} is {live.status}; it is renamed after that")
        reason = self._renamed(
            self.live,
            self.kept,
            f"{self.live} is unchanged, the restored {self._what} is named {self.new}",
            f"end it by hand: {self._service.by_hand(self.live, self.kept)}, then "
            f"{self._service.by_hand(self.new, self.live)}",
        )
        return self.swapping(reason or f"{self.live} is being renamed to {self.kept}")

    def _second_rename(
        self, live: ManagedDatabase | None, kept: ManagedDatabase, new: ManagedDatabase | None
    ) -> RestoreProgress:
        # For a while RDS may show the old one under both of its names.
        if live is not None and live.resource != kept.resource and live.status != "renaming":
            raise RestoreFailed(
                f"a {self._what} that the restore did not make took the name {self.live}; the old "
                f"one is kept as {self.kept}, the restored one is named {self.new}",
                hint=self._end_by_hand(),
            )
        if live is not None or new is None:
            return self.swapping(
                f"the old one is kept as {self.kept}; RDS still renames", kept=True
            )
        if not is_of(new, self.request.run) or is_lost(new):
            raise RestoreFailed(
                f"no {self._what} is named {self.live}: the old one is kept as {self.kept}, and "
                f"{self.new} is {new.status if is_lost(new) else 'not the restored one'}",
                hint=f"undo the first rename: {self._service.by_hand(self.kept, self.live)}",
            )
        if not is_ready(new):
            return self.swapping(f"the old one is kept; {self.new} is {new.status}", kept=True)
        reason = self._renamed(
            self.new,
            self.live,
            f"no {self._what} is named {self.live}: the old one is kept as {self.kept}, the "
            f"restored one is named {self.new}",
            f"end it by hand: {self._service.by_hand(self.new, self.live)}",
        )
        return self.swapping(reason or f"{self.new} is being renamed to {self.live}", kept=True)

    def _renamed(self, old: str, new: str, names: str, hint: str) -> str | None:
        """Begin a rename; an error names both databases, because nothing else will."""
        try:
            return self._service.rename(old, new)
        except (RestoreFailed, AwsError) as error:
            raise type(error)(f"{error.message}; {names}", hint=hint) from error

    def _settling(self, live: ManagedDatabase) -> RestoreProgress | None:
        if is_lost(live):
            raise RestoreFailed(
                f"the restored {self._what} has the name {self.live}, but is {live.status}; the "
                f"old one is kept as {self.kept}",
                hint=self._end_by_hand(),
            )
        if not is_ready(live):
            return self.swapping(f"the restored {self.live} is {live.status}", kept=True)
        return None

    def _end_by_hand(self) -> str:
        back = self._service.by_hand(self.kept, self.live)
        return f"free the name {self.live}, then {self._service.by_hand(self.new, self.live)}; " + (
            f"or undo the first rename: {back}"
        )


class RestoreInstance:
    """Restores one DB instance, from a snapshot or to a point in time.

    New instance, its settings, the look at it, old one's name away, new one's name in: at every
    call it looks at what there is in RDS and does the next step.
    """

    def __init__(self, service: SwapService, instance: str, stack: str) -> None:
        """Restore this instance.

        Args:
            service: RDS, as far as instances go.
            instance: the identifier that the endpoint belongs to.
            stack: the stack that it belongs to.
        """
        self._service = service
        self._instance = instance
        self._stack = stack

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        """Do the next step; see ``Restorer.advance``."""
        swap = Swap("instance", self._instance, self._service, request, self._stack)
        return swap.advance() or swap.restored()
