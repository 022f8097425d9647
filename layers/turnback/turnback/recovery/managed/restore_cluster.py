"""Restore of an Aurora cluster: a new one with new instances in the old one's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from turnback.errors import AwsError, RestoreFailed
from turnback.recovery.managed.database import (
    INSTEAD_OF,
    USABLE,
    ManagedDatabase,
    is_lost,
    is_of,
    is_ready,
    kept_name,
    restored_name,
)
from turnback.recovery.managed.restore import Swap, SwapService
from turnback.recovery.model import STACK_TAG, RestoreProgress, RestoreRequest


class ClusterService(SwapService, Protocol):
    """The part of RDS that is needed for an Aurora cluster and its instances."""

    def members(self, cluster: str) -> Sequence[ManagedDatabase]:
        """The instances of a cluster: the writer, then the others by their promotion tiers."""

    def member(self, identifier: str) -> ManagedDatabase | None:
        """One instance, of whatever cluster, or None."""

    def add_member(
        self, identifier: str, cluster: str, like: str, tags: Mapping[str, str]
    ) -> str | None:
        """Begin a new instance in a cluster, with the settings of another one."""

    def rename_member(self, identifier: str, new: str) -> str | None:
        """Begin to give an instance another name."""


class RestoreCluster:
    """Restores one Aurora cluster, from a snapshot or to a point in time.

    The cluster's name, which its endpoints are made of, is swapped first: the application is back
    then. The names of its instances follow.
    """

    def __init__(self, service: ClusterService, cluster: str, stack: str) -> None:
        """Restore this cluster.

        Args:
            service: RDS, as far as clusters go.
            cluster: the identifier that the endpoint belongs to.
            stack: the stack that it belongs to.
        """
        self._service = service
        self._cluster = cluster
        self._stack = stack

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        """Do the next step; see ``Restorer.advance``."""
        swap = Swap("cluster", self._cluster, self._service, request, self._stack)
        self._refuse_other_engines()
        progress = swap.advance(lambda new, old: self._with_members(swap, new, old))
        return progress or self._swap_members(swap) or swap.restored()

    def _refuse_other_engines(self) -> None:
        live = self._service.find(self._cluster)
        if live is not None and not live.engine.startswith("aurora"):
            raise RestoreFailed(
                f"{self._cluster} is a Multi-AZ DB cluster of {live.engine}, which turnback does "
                "not restore",
                hint="restore it by hand (docs/backup.md#rds-and-aurora); nothing was changed",
            )

    def _with_members(
        self, swap: Swap, new: ManagedDatabase, old: ManagedDatabase
    ) -> RestoreProgress | None:
        """Give the new cluster an instance for each of the old one's; None when all are there."""
        made = {one.tags.get(INSTEAD_OF): one for one in self._service.members(new.id)}
        wanted = self._service.members(old.id)
        if not wanted and not made:
            raise RestoreFailed(
                f"the cluster {old.id} has no instance, so a restored one could not answer",
                hint="add an instance to it in RDS, then turnback restore RUN",
            )
        waiting: list[str] = []
        for number, like in enumerate(wanted):
            own = made.get(like.id)
            if own is None:
                waiting.append(self._added(swap, new, like))
            elif is_lost(own):
                raise swap.lost(own)
            elif not is_ready(own):
                waiting.append(f"{own.id} is {own.status}")
            # The first one becomes the writer; the others must not be quicker.
            if number == 0 and waiting:
                break
        return swap.restoring("; ".join(waiting)) if waiting else None

    def _added(self, swap: Swap, new: ManagedDatabase, like: ManagedDatabase) -> str:
        run = swap.request.run
        identifier = restored_name(like.id, run)
        taken = self._service.member(identifier)
        if taken is not None and not is_of(taken, run):
            raise RestoreFailed(
                f"the name {identifier}, that the restore needs, is taken by another instance",
                hint="rename or delete it in RDS, then turnback restore RUN; nothing was renamed",
            )
        tags = {**swap.tags, INSTEAD_OF: like.id}
        reason = self._service.add_member(identifier, new.id, like.id, tags)
        return reason or f"{identifier} is being added to {new.id}"

    def _swap_members(self, swap: Swap) -> RestoreProgress | None:
        """Give the instances of both clusters their names; None when all have them."""
        old = {one.id: one for one in self._service.members(swap.kept)}
        waiting = []
        for one in self._service.members(swap.live):
            wanted = one.tags.get(INSTEAD_OF)
            if not is_of(one, swap.request.run) or wanted is None:
                continue
            if one.id == wanted:
                if not is_ready(one):
                    waiting.append(f"{one.id} is {one.status}")
                continue
            if wanted in old:
                away = kept_name(wanted, swap.request.run)
                waiting.append(self._renamed(old[wanted], away))
            else:
                waiting.append(self._renamed(one, wanted))
        return swap.swapping("; ".join(waiting), kept=True) if waiting else None

    def _renamed(self, one: ManagedDatabase, new: str) -> str:
        if is_lost(one):
            raise RestoreFailed(
                f"the cluster {self._cluster} is restored and answers, but its instance {one.id} "
                f"is {one.status} and cannot be renamed to {new}",
                hint="the cluster's endpoints lead to the restored data; end the renaming by hand",
            )
        if one.status not in USABLE:
            return f"{one.id} is {one.status}; it is renamed after that"
        try:
            reason = self._service.rename_member(one.id, new)
        except (RestoreFailed, AwsError) as error:
            raise type(error)(
                f"{error.message}; the cluster {self._cluster} is restored and answers",
                hint=f"if the function may not rename {one.id}, give it the tag {STACK_TAG} with "
                f"the value {self._stack}; then turnback restore RUN",
            ) from error
        return reason or f"{one.id} is being renamed to {new}"
