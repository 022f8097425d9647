"""Restore of a DB instance: a new one in the old one's place, under the same endpoint."""

from __future__ import annotations

from turnback.recovery.managed.swap import Swap, SwapService
from turnback.recovery.model import RestoreProgress, RestoreRequest, RestoreState


class RestoreInstance:
    """Restores one DB instance, from a snapshot or to a point in time.

    New instance, its settings, the look at it, old one's name away, new one's name in: at every
    call it looks at what stands in RDS and does the next step.
    """

    def __init__(self, service: SwapService, instance: str) -> None:
        """Restore this instance.

        Args:
            service: RDS, as far as instances go.
            instance: the identifier that the endpoint belongs to.
        """
        self._service = service
        self._instance = instance

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        """Do the next step; see ``Restores.advance``."""
        swap = Swap("instance", self._instance, self._service, request)
        progress = swap.advance()
        if progress is not None:
            return progress
        kept = self._service.find(swap.kept)
        return RestoreProgress(
            RestoreState.RESTORED,
            restored_detail(
                self._instance, swap.kept, rotates=bool(kept and kept.has_managed_password)
            ),
            kept=swap.kept if kept else None,
            restored_to=swap.restored_to(),
        )


def restored_detail(live: str, kept: str, *, rotates: bool) -> str:
    """What a person has to know after the swap.

    Args:
        live: the name that is restored.
        kept: the name of the old one.
        rotates: whether RDS goes on rotating the old one's password in a secret.
    """
    detail = f"{live} is restored; the old one is kept as {kept}"
    if rotates:
        detail += (
            f". Its master password in Secrets Manager is now that of {kept}: let RDS manage the "
            "password of the restored one before the next rotation"
        )
    return detail
