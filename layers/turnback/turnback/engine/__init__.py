"""Running migrations: history, plan, apply, roll back, locks."""

from turnback.engine.engine import Engine
from turnback.engine.events import Event, Options, RunContext
from turnback.engine.history import MigrationStatus
from turnback.engine.plan import Plan, Step
from turnback.engine.report import Done, Report

__all__ = [
    "Done",
    "Engine",
    "Event",
    "MigrationStatus",
    "Options",
    "Plan",
    "Report",
    "RunContext",
    "Step",
]
