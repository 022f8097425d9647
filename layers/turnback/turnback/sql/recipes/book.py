"""All recipes, and writing the migrations of one into a project."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.migrations.discovery import scan
from turnback.migrations.model import Migration
from turnback.migrations.scaffold import new_migration
from turnback.sql.lint.step import steps
from turnback.sql.recipes import columns, constraints, keys, tables
from turnback.sql.recipes.model import Recipe, Values
from turnback.sql.statements import Statement
from turnback.sql.tables import Schema
from turnback.wording import counted

RECIPES = {
    recipe.name: recipe
    for recipe in chain(columns.RECIPES, constraints.RECIPES, keys.RECIPES, tables.RECIPES)
}


def recipe_of(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ConfigurationError: no recipe has it.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        raise ConfigurationError(
            f"there is no recipe {name}",
            hint=(f"did you mean {near[0]}? " if near else "") + "turnback generate --list",
        )
    return RECIPES[name]


def given_values(recipe: Recipe, texts: Sequence[str]) -> dict[str, str]:
    """The values of a recipe, out of ``word=text``.

    Raises:
        ConfigurationError: one is missing, given twice, or of another recipe.
    """
    found: dict[str, str] = {}
    for text in texts:
        word, is_, value = text.partition("=")
        if not is_:
            wrong = f"{text} is not WORD=VALUE"
        elif word not in {**recipe.needs, **recipe.takes}:
            wrong = f"{recipe.name} has no {word}="
        elif not value:
            wrong = f"{word}= has no value"
        elif word in found:
            wrong = f"{word}= is given twice"
        else:
            found[word] = value
            continue
        raise ConfigurationError(wrong, hint=example(recipe))
    if missing := [word for word in recipe.needs if word not in found]:
        raise ConfigurationError(
            f"{recipe.name} needs {', '.join(f'{word}=' for word in missing)}",
            hint=example(recipe),
        )
    return found


def example(recipe: Recipe) -> str:
    """A command that uses the recipe."""
    values = " ".join(f"{word}={value}" for word, value in recipe.needs.items())
    return f"turnback generate --recipe {recipe.name} {values}"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a recipe.

    Attributes:
        migrations: of each, its version, its paths relative to the folder, and its cost.
        releases: how many the recipe has.
    """

    migrations: Sequence[tuple[str, list[str], str]]
    releases: int


def write(
    folder: Path, called: str, texts: Sequence[str], release: int = 1, *, timestamp: bool = False
) -> Written:
    """Write the migrations of one release of a recipe into a project.

    Args:
        folder: the project's folder.
        called: the recipe's name.
        texts: its values, each as ``word=text``.
        release: which of its releases, from 1.
        timestamp: whether the versions are the time (UTC).

    Raises:
        ConfigurationError: there is no such recipe or release, or its values are wrong.
        ProjectNotFound, InvalidMigration, DuplicateVersion: the project is wrong.
    """
    recipe = recipe_of(called)
    given = given_values(recipe, texts)
    project, findings = scan(folder)
    if findings:
        raise findings[0]
    parts = recipe.write(_values(given, project.migrations))
    if release > len(parts):
        raise ConfigurationError(
            f"{called} has {counted(len(parts), 'release')}", hint=f"--release {len(parts)}"
        )
    made = []
    for pair in parts[release - 1]:
        bodies = (pair.forward, pair.rollback)
        version, files = new_migration(folder, pair.name, timestamp=timestamp, bodies=bodies)
        made.append((version, files, pair.cost))
    return Written(made, len(parts))


def _values(given: Mapping[str, str], migrations: Sequence[Migration]) -> Values:
    schema, statements = Schema(), list[Statement]()
    for migration in migrations:
        found, schema, _ = steps(migration.forward, schema, fresh=frozenset())
        statements += [step.statement for step in found]
    return Values(given, schema, statements)
