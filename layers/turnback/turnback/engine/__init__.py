"""Running migrations: history, plan, apply, roll back, locks."""

from turnback.engine.engine import Engine
from turnback.engine.look.status import MigrationStatus
from turnback.engine.run.plan import Plan, Step
from turnback.engine.run.report import Done, Interrupted, Report, Running
from turnback.engine.session.events import Event, Listener, Options, RunContext, RunControl

__all__ = [
    "Done",
    "Engine",
    "Event",
    "Interrupted",
    "Listener",
    "MigrationStatus",
    "Options",
    "Plan",
    "Report",
    "RunContext",
    "RunControl",
    "Running",
    "Step",
]
