"""``config``: the settings that are in force, and where each comes from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.options import ProjectSettings, project_settings
from turnback.cli.output import Output, reported
from turnback.engine.session.connection import describe
from turnback.settings.project import FILE

_HIDDEN = {"database_url", "shadow_url"}
_DEFAULTS = {
    "database_url": "the embedded Postgres in .turnback/",
    "shadow_url": "a temporary embedded Postgres",
}


@click.command(epilog="Example: turnback config --env staging")
@opt.directory
@opt.database
@opt.shadow_url
@opt.stack_name
@opt.as_json
@click.pass_context
@reported
def config(ctx: click.Context, /, *, out: Output, **values: str | Path | None) -> None:
    """Show the settings that are in force, and where each comes from.

    An option has precedence, then an environment variable, then turnback.toml, then the default.
    Passwords are not shown.
    """
    settings = project_settings(ctx)
    rows = [_row(ctx, settings, name, value) for name, value in values.items()]
    rules = settings.file.lint_off
    path = settings.file.path
    out.document |= {
        "status": "succeeded",
        "file": str(path) if path else None,
        "environment": settings.environment,
        "environments": settings.file.environments,
        "policy": settings.policy.environment if settings.policy else None,
        "settings": rows,
        "lint_off": rules,
        "layout": settings.file.layout,
        "ignore": asdict(settings.file.ignore),
    }
    out.result(f"{path}" if path else f"no {FILE}")
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        out.result(f"  {row['name']:<{width}}  {row['value']}  ({row['from']})")
    for rule, reason in rules.items():
        out.result(f"  lint {rule} is off: {reason}")
    for what, patterns in asdict(settings.file.ignore).items():
        if patterns:
            out.result(f"  ignored {what}: {', '.join(patterns)}")
    if settings.policy:
        out.result(f"policy: {settings.policy.environment} (environment {settings.environment})")
    if settings.file.environments:
        out.result(f"environments: {', '.join(settings.file.environments)}")


def _row(
    ctx: click.Context, settings: ProjectSettings, name: str, value: str | Path | None
) -> dict[str, str]:
    param = next(item for item in ctx.command.params if item.name == name)
    shown = _DEFAULTS.get(name, "none") if value is None else str(value)
    if value is not None and name in _HIDDEN:
        shown = describe(str(value))
    setting = settings.found.get(name)
    if value is None and setting is not None:
        return {
            "name": max(param.opts, key=len).lstrip("-"),
            "value": f"the variable {setting.variable} is not set",
            "from": setting.where,
        }
    return {
        "name": max(param.opts, key=len).lstrip("-"),
        "value": shown,
        "from": settings.source(ctx, param),
    }
