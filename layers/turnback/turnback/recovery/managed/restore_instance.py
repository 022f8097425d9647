"""Restore of a DB instance: a new one in the old one's place, under the same endpoint."""

from __future__ import annotations

from turnback.recovery.managed.swap import Swap, SwapService
from turnback.recovery.model import RestoreProgress, RestoreRequest


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
        return swap.advance() or swap.restored()
