"""Settings of the Lambda functions: read from the environment once, at the edge, and typed.

Every class has ``read(environment)``, which raises ConfigurationError naming the variable. The
variables are set by ``template.yaml`` from its parameters; the command line has its own options.
"""

from turnback.settings.environment import (
    ENVIRONMENTS,
    TLS_MODES,
    DatabaseSettings,
    Environment,
    Policy,
    choice,
    text,
    whole,
)
from turnback.settings.recovery import SNAPSHOT_KINDS, SnapshotSettings

__all__ = [
    "ENVIRONMENTS",
    "SNAPSHOT_KINDS",
    "TLS_MODES",
    "DatabaseSettings",
    "Environment",
    "Policy",
    "SnapshotSettings",
    "choice",
    "text",
    "whole",
]
