"""Running migrations: history, plan, apply, roll back, locks."""

from turnback.engine.engine import Engine
from turnback.engine.events import Event, Listener, Options, RunContext
from turnback.engine.plan import Plan, Step
from turnback.engine.report import Done, Report, Running
from turnback.engine.status import MigrationStatus

__all__ = [
    "Done",
    "Engine",
    "Event",
    "Listener",
    "MigrationStatus",
    "Options",
    "Plan",
    "Report",
    "RunContext",
    "Running",
    "Step",
]
