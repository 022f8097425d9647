"""``checklist``: what was done for a release, answered from evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, reported
from turnback.cli.rehearse import chosen_migrations, shadow_from

_COLORS = {"yes": "green", "no": "red", "unknown": "yellow"}


@click.command(epilog="Example: turnback checklist 1.4.0.zip")
@click.argument("artifact", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--shadow-url",
    envvar="TURNBACK_SHADOW_URL",
    show_envvar=True,
    help="A server to make the shadow database on; a throw-away embedded Postgres if not given.",
)
@opt.database
@opt.as_json
@reported
def checklist(
    *,
    artifact: Path,
    shadow_url: str | None,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> int:
    """Answer the checklist of a release from its artifact, each answer with its evidence.

    The release is rehearsed for it: all of its migrations, or with --database-url those that are
    pending there. What only a run on AWS can know says so; the run answers it in its report.
    Exit code 3 when an answer is no.
    """
    from turnback.migrations.artifact import open_artifact
    from turnback.rehearsal.proof import rehearse
    from turnback.runs.checklist import Evidence, in_short, undocumented
    from turnback.runs.checklist import checklist as answers

    with tempfile.TemporaryDirectory(prefix="turnback-") as folder:
        opened = open_artifact(artifact, Path(folder))
        project = opened.project
        chosen = chosen_migrations(
            project, (), database_url is None, database_url, history_schema, project.folder, out
        )
        if not chosen:
            out.document |= {"status": "nothing_to_do", "checklist": []}
            out.result(f"Nothing of release {opened.release} is pending.")
            return 0
        with shadow_from(shadow_url, out) as shadow:
            result = rehearse(project, chosen, shadow)
    items = [
        item.to_dict()
        for item in answers(Evidence(opened.source, undocumented(chosen), result.to_dict()))
    ]
    refused = any(item["answer"] == "no" for item in items)
    out.document |= {
        "status": "incomplete" if refused else "complete",
        "release": opened.release,
        "checklist": items,
    }
    for item in items:
        word = click.style(f"{item['answer']:<8}", fg=_COLORS[item["answer"]])
        out.result(f"  {word} {item['item']:<29} {item['evidence']}")
    out.result(f"\nRelease {opened.release}: {in_short(items).partition(';')[0]}.")
    return 3 if refused else 0
