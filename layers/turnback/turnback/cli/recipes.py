"""``generate --recipe`` and ``generate --list``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnback.cli.output import Output
from turnback.sql.lint.model import RULES
from turnback.sql.recipes.book import RECIPES, Made, example, examples, write


def list_recipes(out: Output) -> None:
    """What recipes there are, an example of each, and what they may be given besides."""
    out.document |= {
        "status": "succeeded",
        "recipes": [
            {
                "name": recipe.name,
                "title": recipe.title,
                "needs": list(recipe.needs),
                "takes": dict(recipe.takes),
                "example": example(recipe),
                "instead_of": [rule.id for rule in RULES.values() if recipe.name in rule.recipes],
                "migrations": [
                    {"release": number, "name": one.name, **_said(one)}
                    for number, release in enumerate(examples(recipe), 1)
                    for one in release
                ],
            }
            for recipe in RECIPES.values()
        ],
    }
    for recipe in RECIPES.values():
        out.result(f"{recipe.name:<20} {recipe.title}")
        out.result(f"    {example(recipe)}")
        for word, meaning in recipe.takes.items():
            out.result(f"    {word}= {meaning}")
        for number, release in enumerate(examples(recipe), 1):
            for one in release:
                out.result(f"      {number}. {one.name:<34} {locked(one):<42} {one.cost}")


def locked(made: Made) -> str:
    """The locks of a migration, in one line."""
    return ", ".join(f"{table}: {mode}" for table, mode in made.locks.items()) or "no lock"


def _said(made: Made) -> dict[str, Any]:
    return {"cost": made.cost, "duration": made.duration.name.lower(), "locks": dict(made.locks)}


def write_recipe(
    folder: Path, called: str, texts: Sequence[str], release: int, out: Output, *, timestamp: bool
) -> None:
    """Write one release of a recipe, and say what each of its migrations costs."""
    found = write(folder, called, texts, release, timestamp=timestamp)
    out.document |= {
        "status": "succeeded",
        "recipe": called,
        "release": release,
        "releases": found.releases,
        "migrations": [
            {"version": one.version, "files": list(one.files), **_said(one)}
            for one in found.migrations
        ],
    }
    for one in found.migrations:
        for path in one.files:
            out.result(f"  made {folder / path}")
        out.result(f"       {one.version}: {one.cost} ({locked(one)})")
    if not found.migrations:
        out.result("Nothing to write in this release.")
    if release < found.releases:
        out.result(
            "Next: turnback up, deploy the application, and then the same command with "
            f"--release {release + 1}"
        )
    else:
        out.result("Next: turnback rehearse, then turnback up")
