"""A plan that is not carried out: its scripts, or a script for psql that does the same."""

from __future__ import annotations

from collections.abc import Iterable

import click

from turnback.cli.output import Output, is_verbose
from turnback.cli.snippet import seen
from turnback.engine import Engine, Plan, Step
from turnback.errors import ConfigurationError
from turnback.wording import counted

as_script_option = click.option(
    "--sql",
    "as_script",
    is_flag=True,
    help="Print a script for psql that does the same and leaves the same history; change nothing.",
)


def refuse_two_forms(dry_run: bool, as_script: bool, out: Output) -> None:
    if as_script and (dry_run or out.as_json):
        raise ConfigurationError(
            "--sql prints a script and nothing else", hint="leave --dry-run and --json out"
        )


def show_plan(engine: Engine, plan: Plan, out: Output) -> None:
    """Print what was written; with -v what is sent, which the document has in any case."""
    out.is_report = True
    out.document["status"] = "dry_run"
    out.document["plan"] = [
        {**step, "sql": engine.preview(planned)}
        for step, planned in zip(plan.to_dict()["migrations"], plan.steps, strict=True)
    ]
    if plan.empty:
        out.result("Nothing to do.")
    for step, planned in zip(out.document["plan"], plan.steps, strict=True):
        way = "" if step["in_transaction"] else f", {_way(planned)}"
        if step.get("half_done"):
            way += "; half done: statements with nothing to undo are skipped"
        file = seen(step["file"])
        out.result(f"-- {plan.direction} {step['version']} {step['name']} ({file}{way})")
        for text in step["sql"] if is_verbose() else _scripts(planned):
            out.result(text)
        out.result()


def print_script(engine: Engine, plan: Plan, out: Output) -> int:
    """Print a script for psql as it is, in UTF-8 whatever the terminal's encoding."""
    out.is_report = True
    if plan.empty:
        out.note("Nothing to do.")
    else:
        for part in engine.script(plan):
            click.echo(part.encode(), nl=False)
        number = counted(len(plan.steps), "migration")
        out.note(f"A script of {number} for psql; nothing was changed.")
    return 0


def end_dry_run(plan: Plan, out: Output) -> int:
    out.note(f"Dry run: {counted(len(plan.steps), 'migration')}; nothing was changed.")
    return 0


def _way(step: Step) -> str:
    if step.runnable.starts:
        return f"in {len(step.runnable.transactions())} transactions"
    return "statement by statement, outside a transaction"


def _scripts(step: Step) -> Iterable[str]:
    """What the user wrote, and nothing of turnback's own."""
    if step.runnable.starts:
        for number, part in enumerate(step.runnable.transactions(), 1):
            yield f"-- transaction {number}"
            yield part.written.strip()
    else:
        yield step.runnable.script.sql.rstrip()
    if step.verify:
        yield f"-- verify ({seen(step.verify.script.path)})"
        yield step.verify.script.sql.rstrip()
