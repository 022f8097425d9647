"""Rules switched off for a statement, with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from turnback.migrations.model import Script, Waiver
from turnback.migrations.text import position
from turnback.sql.lint.catalogue import RULES, known
from turnback.sql.lint.model import Finding, Rule
from turnback.sql.lint.step import Scene, Step


def waive(
    script: Script, found: Sequence[Step], findings: Iterable[Finding], *, readable: bool
) -> tuple[list[Finding], list[Finding]]:
    """What is left of a script's findings, and what its waivers switch off.

    A waiver is for the statement that follows it. In the header, where the rule finds nothing in
    the first statement, it is for the whole file. One that switches nothing off is a finding, and
    so is one of a rule that does not exist.

    Args:
        found: the script's statements.
        readable: whether the rules could look at them.
    """
    left, waived = list(findings), list[Finding]()
    scene = Scene(script, True, False, frozenset())
    for waiver in script.directives.waivers:
        rule = known(waiver.rule)
        if rule is None or not rule.waivable:
            left.append(_unknown(scene, waiver, rule))
            continue
        covered = _covered(script, found, waiver, [f for f in left if f.rule is rule])
        if not covered and readable:
            left.append(_unused(scene, waiver, rule))
        waived += covered
        left = [finding for finding in left if finding not in covered]
    return left, waived


def _covered(
    script: Script, found: Sequence[Step], waiver: Waiver, of_rule: list[Finding]
) -> list[Finding]:
    if not found:
        return of_rule
    for step in found:
        begins = position(script.sql, step.statement.offset)[0]
        ends = position(script.sql, step.statement.end)[0]
        if ends < waiver.line:
            continue
        here = [f for f in of_rule if step.statement.offset <= f.offset <= step.statement.end]
        in_header = step is found[0] and waiver.line < begins
        return here if here or not in_header else of_rule
    return []


def _unknown(scene: Scene, waiver: Waiver, rule: Rule | None) -> Finding:
    what = f"There is no rule {waiver.rule}" if rule is None else f"{rule.id} cannot be waived"
    return scene.finding(
        "TB903",
        _start(scene.script, waiver.line),
        f"{what}.",
        why="The waiver switches nothing off: what it was meant for is reported, or passes by "
        "chance.",
        safer=f"-- the rules: {', '.join(rule.id for rule in RULES.values() if rule.waivable)}",
    )


def _unused(scene: Scene, waiver: Waiver, rule: Rule) -> Finding:
    return scene.finding(
        "TB902",
        _start(scene.script, waiver.line),
        f"{rule.id} finds nothing here to waive.",
        why="What it was for has gone, or stands elsewhere. Left where it is, it would hide the "
        "next one.",
        safer="-- delete the line, or put it right before its statement",
    )


def _start(script: Script, line: int) -> int:
    return sum(map(len, script.sql.splitlines(keepends=True)[: line - 1]))
