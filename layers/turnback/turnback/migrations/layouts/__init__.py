"""Where the migrations of a project are: turnback's own folders, or those of another tool.

A layout is one module with an object ``LAYOUT``, and its name in turnback.settings.project.LAYOUTS.
"""

from __future__ import annotations

import importlib

from turnback.migrations.layouts.layout import Layout
from turnback.settings.project import LAYOUTS, OWN


def layout(name: str) -> Layout:
    """The layout of this name, which is one of LAYOUTS."""
    # Only the one that is used is imported.
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Layout = module.LAYOUT
    return found


def others() -> list[Layout]:
    """Every layout but turnback's own, in the order of LAYOUTS."""
    return [layout(name) for name in LAYOUTS if name != OWN]
