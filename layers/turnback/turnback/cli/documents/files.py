"""The documents of the commands that look at files, or write them."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from turnback.cli.documents.parts import Connected, Document, Done, ErrorReport, Unfinished
from turnback.cli.documents.rehearsal import RehearsalResult
from turnback.settings.ignore import Ignore


class Init(Document, total=False):
    """`init`."""

    status: Required[Literal["succeeded"] | Unfinished]
    made: list[str]


class Recipe(TypedDict):
    """A recipe that `generate` can write.

    Attributes:
        needs: the words it must be given.
        takes: what it may be given besides: word to meaning.
        instead_of: the rules of lint that it answers.
        migrations: those of its example, of all releases.
    """

    name: str
    title: str
    needs: list[str]
    takes: dict[str, str]
    example: str
    instead_of: list[str]
    migrations: list[ExampleMigration]


class ExampleMigration(TypedDict):
    """A migration of a recipe's example.

    Attributes:
        cost: whom it keeps waiting, in a sentence.
        duration: what its time grows with: nothing, or the rows of the table.
        locks: table to the strongest lock on it.
    """

    release: int
    name: str
    cost: str
    duration: Literal["instant", "scan", "build", "batches"]
    locks: dict[str, str]


class RecipeMigration(TypedDict):
    """A migration of a recipe, as it was written.

    Attributes:
        cost, duration, locks: as in an example's.
    """

    version: str
    files: list[str]
    cost: str
    duration: Literal["instant", "scan", "build", "batches"]
    locks: dict[str, str]


class Generate(Document, total=False):
    """`generate`: one migration, or those of a recipe, or the list of recipes.

    Attributes:
        renamed: with `--from-prisma`, what was renamed, as `--rename` has it.
        destroys: with `--from-prisma`, what the migration destroys, each with the line that does.
        rehearsal: with `--from-prisma`, of the migration.
        lint: with `--from-prisma`, what lint finds in the migration.
    """

    status: Required[Done | Literal["findings"] | Unfinished]
    version: str
    files: list[str]
    recipe: str
    release: int
    releases: int
    migrations: list[RecipeMigration]
    recipes: list[Recipe]
    renamed: list[str]
    destroys: list[str]
    rehearsal: RehearsalResult
    lint: list[LintFinding]


class RecognisedLayout(TypedDict):
    """A layout that the files have, or may have."""

    layout: str
    why: str
    certain: bool


class OtherTable(TypedDict):
    """A table in which another tool keeps its history."""

    layout: str
    table: str


class Adopt(Connected, total=False):
    """`adopt`.

    Attributes:
        migrations: how many files.
        applied: how many of them the other tool has applied.
        pending: versions; null where no database was asked.
        compared: how many files were compared with what the tool has kept.
        differences: files that are not as they were applied.
        written: files.
    """

    status: Required[Done | Literal["dry_run", "findings"] | Unfinished]
    recognised: list[RecognisedLayout]
    histories: list[OtherTable]
    layout: str
    table: str | None
    migrations: int
    applied: int
    pending: list[str] | None
    compared: int
    differences: list[ErrorReport]
    baseline: str | None
    written: list[str]


class Leave(Connected, total=False):
    """`leave`.

    Attributes:
        applied: how many migrations its history has as applied; null without `--history`.
    """

    status: Required[Literal["succeeded", "dry_run"] | Unfinished]
    to: str
    files: list[str]
    applied: int | None


class Check(Connected, total=False):
    """`check`."""

    status: Required[Literal["ok", "findings"] | Unfinished]
    migrations: int
    repeatables: int
    notes: list[str]


Renumbered = TypedDict("Renumbered", {"from": str, "to": str, "name": str, "files": dict[str, str]})


class Rebase(Connected, total=False):
    """`rebase`.

    Attributes:
        base: the branch that was compared with.
    """

    status: Required[Literal["succeeded", "dry_run"] | Unfinished]
    base: str
    renumbered: list[Renumbered]


class LintFinding(TypedDict):
    """A finding of lint.

    Attributes:
        id: of the rule.
        safer: the SQL to write instead; null where there is none.
        recipes: of `generate --recipe` that write it.
        page: of the rule, in the repository.
    """

    id: str
    name: str
    level: Literal["error", "warning", "info"]
    file: str
    line: int
    column: int
    message: str
    why: str
    safer: str | None
    recipes: list[str]
    page: str
    url: str


class Counts(TypedDict):
    """How many findings of each level."""

    error: int
    warning: int
    info: int


class Lint(TypedDict, total=False):
    """`lint`.

    Attributes:
        findings: of a command that could not begin, errors.
        waived: the findings that a waiver switches off.
        on_new_tables: with `--since`, what is not shown because the table is new.
    """

    status: Required[Literal["ok", "findings"] | Unfinished]
    warnings: list[str]
    error: ErrorReport | None
    migrations: int
    counts: Counts
    findings: list[LintFinding] | list[ErrorReport]
    waived: list[LintFinding]
    on_new_tables: list[LintFinding]


class AboutRule(TypedDict):
    """A rule in the list of `explain`."""

    id: str
    name: str
    level: Literal["error", "warning", "info"]
    title: str
    waivable: bool
    page: str
    url: str


class Explain(Document, total=False):
    """`explain`: the rules, or one of them, or an error.

    Attributes:
        markdown: the page.
        exit_code: of an error.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    rules: list[AboutRule]
    id: str
    name: str
    level: Literal["error", "warning", "info"]
    title: str
    waivable: bool
    page: str
    url: str
    markdown: str
    exit_code: int


Setting = TypedDict("Setting", {"name": str, "value": str, "from": str})


class Config(Document, total=False):
    """`config`.

    Attributes:
        file: turnback.toml; null without one.
        policy: of the environment; null without one.
        lint_off: rule to reason.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    file: str | None
    environment: str | None
    environments: list[str]
    policy: str | None
    settings: list[Setting]
    lint_off: dict[str, str]
    layout: str
    ignore: Ignore


class Package(Document, total=False):
    """`package`.

    Attributes:
        artifact: the path of the zip.
        migrations: how many.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    artifact: str
    release: str
    sha256: str
    migrations: int
