"""Generated changes, each with its true inverse, and with one damaged in one place.

The rehearsal must believe every true inverse, and none of the damaged ones. One change of each
kind is tried here, two hundred more by ``make slow``. A seed makes the run repeatable; it is in
the test's name, so that a failure can be run again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.verdict import UNPROVEN, Rehearsed

from tests.conftest import ProjectFactory

# Of the changes of one test: 0 stands for one of each kind.
SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9)))
PAIRS = 25
TYPES = ("integer", "bigint", "text", "numeric(10,2)", "timestamptz", "boolean", "uuid", "jsonb")
NOTHING = "SELECT 1;"


@dataclass(frozen=True, slots=True)
class Pair:
    """A change, what takes it back, and what nearly does."""

    up: str
    down: str
    damaged: str


def base(name: str) -> str:
    """A table for one pair to work on, with something of everything."""
    return (
        f"CREATE TABLE {name} (id int PRIMARY KEY, a int DEFAULT 7, b text NOT NULL, c bigint);\n"
        f"CREATE INDEX {name}_b ON {name} (b);\n"
        f"ALTER TABLE {name} ADD CONSTRAINT {name}_positive CHECK (a > 0);\n"
        f"CREATE VIEW {name}_view AS SELECT id, b FROM {name};\n"
        f"CREATE FUNCTION {name}_one() RETURNS int LANGUAGE sql AS 'SELECT 1';\n"
        f"COMMENT ON TABLE {name} IS 'as it was';\n"
    )


def _add_column(t: str, r: random.Random) -> Pair:
    kind = r.choice(TYPES)
    return Pair(f"ALTER TABLE {t} ADD COLUMN n {kind};", f"ALTER TABLE {t} DROP COLUMN n;", NOTHING)


def _index(t: str, r: random.Random) -> Pair:
    unique, columns = r.choice(["", "UNIQUE "]), r.choice(["a", "a, b", "b DESC", "lower(b)"])
    where = r.choice(["", " WHERE a > 3"])
    up = f"CREATE {unique}INDEX {t}_n ON {t} ({columns}){where};"
    return Pair(up, f"DROP INDEX {t}_n;", NOTHING)


def _drop_index(t: str, r: random.Random) -> Pair:
    wrong = r.choice([f"({t}.a)", "(b, a)", "(b DESC)", "USING hash (b)", "(b) WHERE a > 1"])
    wrong = "(a)" if wrong.startswith(f"({t}") else wrong
    damaged = f"CREATE INDEX {t}_b ON {t} {wrong};"
    return Pair(f"DROP INDEX {t}_b;", f"CREATE INDEX {t}_b ON {t} (b);", damaged)


def _default(t: str, r: random.Random) -> Pair:
    one, other = r.sample(range(10, 99), 2)
    form = f"ALTER TABLE {t} ALTER COLUMN a SET DEFAULT {{}};"
    return Pair(form.format(one), form.format(7), r.choice([form.format(other), NOTHING]))


def _drop_default(t: str, r: random.Random) -> Pair:
    form = f"ALTER TABLE {t} ALTER COLUMN a "
    wrong = r.choice(["SET DEFAULT 8;", "DROP DEFAULT;"])
    return Pair(f"{form}DROP DEFAULT;", f"{form}SET DEFAULT 7;", f"{form}{wrong}")


def _not_null(t: str, r: random.Random) -> Pair:
    column = r.choice(["a", "c"])
    form = f"ALTER TABLE {t} ALTER COLUMN {column} "
    return Pair(f"{form}SET NOT NULL;", f"{form}DROP NOT NULL;", NOTHING)


def _drop_not_null(t: str, r: random.Random) -> Pair:  # noqa: ARG001
    form = f"ALTER TABLE {t} ALTER COLUMN b "
    return Pair(f"{form}DROP NOT NULL;", f"{form}SET NOT NULL;", NOTHING)


def _check(t: str, r: random.Random) -> Pair:
    low = r.randrange(100)
    up = f"ALTER TABLE {t} ADD CONSTRAINT {t}_n CHECK (c > {low});"
    return Pair(up, f"ALTER TABLE {t} DROP CONSTRAINT {t}_n;", NOTHING)


def _drop_check(t: str, r: random.Random) -> Pair:
    form = f"ALTER TABLE {t} ADD CONSTRAINT {t}_positive CHECK (a > {{}})"
    wrong = r.choice([form.format(1) + ";", form.format(0) + " NOT VALID;"])
    return Pair(f"ALTER TABLE {t} DROP CONSTRAINT {t}_positive;", f"{form.format(0)};", wrong)


def _foreign_key(t: str, r: random.Random) -> Pair:
    action = r.choice(["", " ON DELETE CASCADE", " ON DELETE SET NULL", " DEFERRABLE"])
    up = f"ALTER TABLE {t} ADD CONSTRAINT {t}_f FOREIGN KEY (a) REFERENCES {t} (id){action};"
    return Pair(up, f"ALTER TABLE {t} DROP CONSTRAINT {t}_f;", NOTHING)


def _table(t: str, r: random.Random) -> Pair:
    columns = ", ".join(f"c{n} {r.choice(TYPES)}" for n in range(r.randrange(1, 5)))
    return Pair(f"CREATE TABLE {t}_n ({columns});", f"DROP TABLE {t}_n;", NOTHING)


def _rename(t: str, r: random.Random) -> Pair:
    column = r.choice(["a", "c"])
    form = f"ALTER TABLE {t} RENAME COLUMN {{}} TO {{}};"
    return Pair(
        form.format(column, "n"), form.format("n", column), form.format("n", f"{column}_old")
    )


def _widen(t: str, r: random.Random) -> Pair:
    # To numeric and back would leave casts in the check of the column: no true inverse.
    kind = r.choice(["bigint", "smallint"])
    form = f"ALTER TABLE {t} ALTER COLUMN a TYPE {{}};"
    return Pair(form.format(kind), form.format("int"), NOTHING)


def _function(t: str, r: random.Random) -> Pair:
    form = f"CREATE OR REPLACE FUNCTION {t}_one() RETURNS int LANGUAGE sql AS 'SELECT {{}}';"
    number = r.randrange(2, 99)
    return Pair(form.format(number), form.format(1), form.format(number + 1))


def _view(t: str, r: random.Random) -> Pair:
    form = f"CREATE OR REPLACE VIEW {t}_view AS SELECT id, b FROM {t}{{}};"
    limit = r.randrange(1, 99)
    return Pair(form.format(f" WHERE a > {limit}"), form.format(""), NOTHING)


def _comment(t: str, r: random.Random) -> Pair:
    form = f"COMMENT ON TABLE {t} IS {{}};"
    wrong = r.choice(["NULL", "'as it wass'"])
    return Pair(form.format("'changed'"), form.format("'as it was'"), form.format(wrong))


def _grant(t: str, r: random.Random) -> Pair:
    right = r.choice(["SELECT", "INSERT", "UPDATE", "DELETE"])
    return Pair(f"GRANT {right} ON {t} TO PUBLIC;", f"REVOKE {right} ON {t} FROM PUBLIC;", NOTHING)


def _enum(t: str, r: random.Random) -> Pair:
    words = ", ".join(f"'w{n}'" for n in range(r.randrange(1, 5)))
    return Pair(f"CREATE TYPE {t}_n AS ENUM ({words});", f"DROP TYPE {t}_n;", NOTHING)


def _security(t: str, r: random.Random) -> Pair:
    rule = r.choice(["a > 3", "b = current_user"])
    up = f"ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {t} USING ({rule});"
    off = f"ALTER TABLE {t} DISABLE ROW LEVEL SECURITY;"
    return Pair(up, f"DROP POLICY p ON {t}; {off}", r.choice([off, f"DROP POLICY p ON {t};"]))


def _trigger(t: str, r: random.Random) -> Pair:
    when = r.choice(["BEFORE INSERT", "AFTER UPDATE", "AFTER DELETE"])
    body = f"CREATE FUNCTION {t}_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    up = f"{body} CREATE TRIGGER n {when} ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_t();"
    drop = f"DROP TRIGGER n ON {t};"
    return Pair(up, f"{drop} DROP FUNCTION {t}_t();", drop)


def _sequence(t: str, r: random.Random) -> Pair:
    step = r.randrange(2, 50)
    return Pair(f"CREATE SEQUENCE {t}_n INCREMENT {step};", f"DROP SEQUENCE {t}_n;", NOTHING)


KINDS: tuple[Callable[[str, random.Random], Pair], ...] = (
    _add_column,
    _index,
    _drop_index,
    _default,
    _drop_default,
    _not_null,
    _drop_not_null,
    _check,
    _drop_check,
    _foreign_key,
    _table,
    _rename,
    _widen,
    _function,
    _view,
    _comment,
    _grant,
    _enum,
    _security,
    _trigger,
    _sequence,
)


def pairs(seed: int) -> int:
    """How many pairs a test tries."""
    return PAIRS if seed else len(KINDS)


def rehearsed(
    project_factory: ProjectFactory, server: EmbeddedServer, seed: int, *, damaged: bool
) -> Rehearsed:
    chance = random.Random(seed)
    names = [f"t{number}" for number in range(2, pairs(seed) + 2)]
    files = {
        "sql/0001_base.sql": "".join(base(name) for name in names),
        "rollback/0001_rollback.sql": "".join(
            f"DROP VIEW {name}_view; DROP TABLE {name}; DROP FUNCTION {name}_one();\n"
            for name in names
        ),
    }
    for number, name in enumerate(names, 2):
        pair = (chance.choice(KINDS) if seed else KINDS[number - 2])(name, chance)
        files[f"sql/{number:04}_change.sql"] = pair.up
        files[f"rollback/{number:04}_rollback.sql"] = pair.damaged if damaged else pair.down
    project = load_project(project_factory(files))
    return rehearse(project, project.migrations[1:], Shadow(server.url()))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_true_inverse_is_believed(
    project_factory: ProjectFactory, server: EmbeddedServer, seed: int
) -> None:
    found = rehearsed(project_factory, server, seed, damaged=False)
    accused = [
        (verdict.version, verdict.rollback, verdict.reapply, [str(d) for d in verdict.differences])
        for verdict in found.migrations
        if not verdict.proven
    ]
    assert accused == []
    assert len(found.migrations) == pairs(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_damaged_inverse_is_found(
    project_factory: ProjectFactory, server: EmbeddedServer, seed: int
) -> None:
    found = rehearsed(project_factory, server, seed, damaged=True)
    believed = [
        (verdict.version, verdict.rollback)
        for verdict in found.migrations
        if verdict.rollback not in UNPROVEN
    ]
    assert believed == []
    assert len(found.migrations) == pairs(seed)
