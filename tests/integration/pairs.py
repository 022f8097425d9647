"""Random pairs of scripts: a change, and a rollback that may or may not undo it.

Each pair works in a schema of its own, ``p7``, on elements that have some forms each. The change
gives an element another form; the rollback gives it back the first one, or a wrong one, or nothing.
Whether the pair is right is not known here: pg_dump says it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

ROLES = ("pair_alice", "pair_bob")
# In each schema. {s} is its name, {n} and {m} are numbers of the pair.
BASE = """
CREATE SCHEMA {s};
CREATE TABLE {s}.o (id int PRIMARY KEY, k text UNIQUE);
CREATE TABLE {s}.t (id int NOT NULL, a int, b text, c bigint, d date, o int);
CREATE TABLE {s}.q (id int, at date NOT NULL) PARTITION BY RANGE (at);
CREATE FUNCTION {s}.g(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x > 0';
CREATE FUNCTION {s}.h() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""


@dataclass(frozen=True, slots=True)
class Element:
    """Something that has one of some forms, or none.

    Attributes:
        clear: takes any form away.
        forms: what gives it each form, where it is not there.
        since: the major version of PostgreSQL that knows it.
    """

    clear: str
    forms: tuple[str, ...]
    since: int


def elements() -> list[Element]:
    """Those of ``pairs.txt``.

    There, a line without indentation takes any form away; the next begins each form, and each of
    the lines below is the rest of one. A hyphen is nothing.
    """
    found: list[tuple[str, str, list[str]]] = []
    for line in Path(__file__).with_name("pairs.txt").read_text().splitlines():
        text = "" if line.strip() == "-" else line.strip()
        match len(line) - len(line.lstrip()):
            case 0:
                found.append((text, "", []))
            case 2:
                found[-1] = (found[-1][0], text, [])
            case _:
                found[-1][2].append(f"{found[-1][1]} {text}".strip())
    return [
        Element(
            clear.partition(": ")[2] if clear.startswith("since") else clear,
            tuple(forms),
            int(clear[6:8]) if clear.startswith("since") else 15,
        )
        for clear, _, forms in found
    ]


@dataclass(frozen=True, slots=True)
class Pair:
    """A change and its rollback.

    Attributes:
        schema: the name of its own.
        base: what is there before.
    """

    schema: str
    base: str
    up: str
    down: str


def pair(number: int, chance: random.Random, major: int) -> Pair:
    """A random pair.

    Args:
        number: of its schema.
        chance: where everything random comes from.
        major: the version of PostgreSQL, such as 18.
    """
    known = [element for element in elements() if element.since <= major]
    chosen = chance.sample(known, chance.choice((1, 1, 2)))
    values = dict(zip("nm", chance.sample(range(10, 99), 2), strict=True), s=f"p{number}")
    damaged = chance.choice((*chosen, None, None))
    base, up, down = [BASE], [], []
    for element in chosen:
        forms = ("", *element.forms)
        first, other, wrong = (chance.randrange(len(forms)) for _ in range(3))
        other = other if other != first else (first + 1) % len(forms)
        base.append(forms[first])
        up += [element.clear if first else "", forms[other]]
        # Forgotten, or made otherwise.
        back = [element.clear if other else "", forms[wrong if element is damaged else first]]
        down = ([] if element is damaged and chance.random() < 0.3 else back) + down
    texts = (script(parts).format(**values) for parts in (base, up, down))
    return Pair(values["s"], *texts)


def script(parts: list[str]) -> str:
    """Statements as one script."""
    return ";\n".join(part for part in (*parts, "SELECT 1") if part) + ";\n"
