"""Sqitch: changes in the order of ``sqitch.plan``, each in deploy/, revert/ and verify/.

Source: lib/App/Sqitch/Plan.pm, Plan/Change.pm and Engine/pg.sql of github.com/sqitchers/sqitch
(1.3).

A change that was reworked is several migrations: ``name``, ``name#2`` and so on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import (
    Applied,
    Evidence,
    History,
    Kept,
    Layout,
    New,
    Recorded,
)
from turnback.migrations.layouts.names import author
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Script

_PLAN = "sqitch.plan"
_PRAGMA = re.compile(r"%([a-z-]+)\s*=\s*(\S.*)")
_ENTRY = re.compile(
    r"(?P<tag>@)?(?P<name>[^\s\[\]#@]+)\s+"
    r"(?:\[(?P<needs>[^\]]*)\]\s*)?"
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\s+"
    r"(?P<planner>[^#]*<[^>]*>)\s*"
    r"(?:#\s*(?P<note>.*))?"
)
_ROLLBACK = re.compile(r"^[ \t]*(BEGIN|ROLLBACK)[ \t]*;", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class _Change:
    """A line of the plan.

    Attributes:
        name: of the change.
        count: how often the plan has had it, with this one.
        tags: where it was reworked later: those that its scripts may have in their names.
    """

    name: str
    count: int
    line: int
    needs: Sequence[str]
    time: str
    planner: str
    note: str
    tags: Sequence[str] = ()

    @property
    def version(self) -> str:
        return self.name if self.count == 1 else f"{self.name}#{self.count}"


@dataclass(frozen=True, slots=True)
class _Plan:
    project: str
    uri: str
    changes: Sequence[_Change]


def _plan(text: str) -> _Plan:
    """The plan.

    Raises:
        InvalidMigration: a line of it cannot be read.
    """
    pragmas: dict[str, str] = {}
    changes: list[_Change] = []
    latest: dict[str, _Change] = {}
    # The tags since each of the latest changes, the newest first.
    tags: dict[str, list[str]] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if match := _PRAGMA.fullmatch(line):
            pragmas[match[1]] = match[2].strip()
            continue
        if not line or line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise _unreadable(
                "this line of the plan cannot be read",
                number,
                "as sqitch writes it: name [requires] 2026-01-01T00:00:00Z Name <mail> # note",
            )
        name = entry["name"]
        if entry["tag"]:
            for since in tags.values():
                since.insert(0, f"@{name}")
            continue
        before = latest.get(name)
        if before and not tags[name]:
            raise _unreadable(
                f"{name} is in the plan twice, without a tag between",
                number,
                "sqitch reworks a change only after a tag",
            )
        if before:
            before.tags = tags[name]
        change = _Change(
            name,
            before.count + 1 if before else 1,
            number,
            (entry["needs"] or "").split(),
            entry["time"],
            entry["planner"].strip(),
            (entry["note"] or "").strip(),
        )
        latest[name], tags[name] = change, []
        changes.append(change)
    return _Plan(pragmas.get("project", ""), pragmas.get("uri", ""), changes)


def _unreadable(message: str, line: int, hint: str) -> InvalidMigration:
    return InvalidMigration(message, file=_PLAN, line=line, hint=hint)


def _ids(plan: _Plan) -> dict[str, str]:
    """The id of each change, by its version: a hash of its line, and of the change before it."""
    found: dict[str, str] = {}
    parent = ""
    for change in plan.changes:
        requires = [need for need in change.needs if not need.startswith("!")]
        conflicts = [need[1:] for need in change.needs if need.startswith("!")]
        info = [f"project {plan.project}"]
        info += [f"uri {plan.uri}"] if plan.uri else []
        info += [f"change {change.name}"]
        info += [f"parent {parent}"] if parent else []
        info += [f"planner {change.planner}", f"date {change.time}"]
        if requires:
            info += ["requires\n  + " + "\n  + ".join(requires)]
        if conflicts:
            info += ["conflicts\n  - " + "\n  - ".join(conflicts)]
        info += [f"\n{change.note}"] if change.note else []
        text = "\n".join(info).encode()
        parent = hashlib.sha1(b"change %d\0" % len(text) + text, usedforsecurity=False).hexdigest()
        found[change.version] = parent
    return found


def _recognise(files: Files) -> Evidence | None:
    return Evidence(f"there is a {_PLAN}") if _PLAN in files.names("") else None


def _read(reading: Reading) -> list[Migration]:
    """In the order of the plan."""
    text = reading.beside(_PLAN)
    if text is None:
        reading.findings.append(
            InvalidMigration("there is no plan", file=_PLAN, hint="make it: sqitch init PROJECT")
        )
        return []
    try:
        plan = _plan(text)
    except InvalidMigration as finding:
        reading.findings.append(finding)
        return []
    return list(_migrations(reading, plan))


def _migrations(reading: Reading, plan: _Plan) -> Iterator[Migration]:
    @cache
    def names(folder: str) -> frozenset[str]:
        return frozenset(reading.names(folder) if reading.files.is_folder(folder) else ())

    def script(kind: str, filename: str) -> Script | None:
        path = f"{kind}/{filename}"
        folder, _, name = path.rpartition("/")
        if name not in names(folder):
            return None
        return reading.script(path, rollback=kind == "revert")

    for change in plan.changes:
        filenames = [f"{change.name}{tag}.sql" for tag in change.tags or [""]]
        found = next((one for one in filenames if script("deploy", one)), filenames[0])
        verify = script("verify", found)
        if forward := script("deploy", found):
            yield Migration(
                change.version,
                change.name,
                forward,
                script("revert", found),
                verify and _without_rollback(verify),
                write_rollback=f"write revert/{found}",
            )
        elif f"deploy/{found}" not in reading.ignored:
            reading.findings.append(
                _unreadable(
                    f"the plan has {change.version}, and there is no deploy/{found}",
                    change.line,
                    "write it, or delete this line",
                )
            )


def _without_rollback(script: Script) -> Script:
    """A verify script without the BEGIN and ROLLBACK around it: what it reads is not written."""
    found = list(_ROLLBACK.finditer(script.sql))
    if [match[1].upper() for match in found] != ["BEGIN", "ROLLBACK"]:
        return script
    sql = script.sql
    for match in found:
        sql = sql[: match.start()] + " " * (match.end() - match.start()) + sql[match.end() :]
    return replace(script, sql=sql)


def _new(new: New) -> dict[str, str]:
    plan = new.files.read(_PLAN).decode()
    name = new.slug
    taken = {one.name for one in new.migrations}
    number = 2
    while name in taken:
        name, number = f"{new.slug}_{number}", number + 1
    needs = f" [{new.migrations[-1].name}]" if new.migrations else ""
    name_of_author, mail = author()
    body = "" if new.scripts else "BEGIN;\n\nCOMMIT;\n"
    planner = f"{name_of_author} <{mail}>"
    line = f"{name}{needs} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {planner} # {name}"
    return {
        f"deploy/{name}.sql": new.forward(name) + body,
        f"revert/{name}.sql": new.rollback(name) + body,
        _PLAN: f"{plan.rstrip()}\n{line}\n",
    }


def _applied(kept: Recorded) -> Kept:
    """What is deployed of this project, compared with the hashes of its scripts and of the plan."""
    plan = _plan(kept.files.read(_PLAN).decode())
    version_of = {found: version for version, found in _ids(plan).items()}
    by_version = kept.by_version
    applied, refused, seen = [], [], dict[str, int]()
    for row in kept.rows:
        if row["project"] != plan.project:
            continue
        name = row["change"]
        seen[name] = seen.get(name, 0) + 1
        version = version_of.get(row["change_id"])
        if version is None:
            version = name if seen[name] == 1 else f"{name}#{seen[name]}"
            if version in by_version:
                refused.append(_other_plan(version))
        found, same = by_version.get(version), None
        if found and row["script_hash"] is not None:
            same = (
                hashlib.sha1(kept.data(found), usedforsecurity=False).hexdigest()
                == row["script_hash"]
            )
        applied.append(Applied.of(found, version, row["committed_at"], name=name, same=same))
    return Kept(applied, refused)


def _other_plan(version: str) -> HistoryConflict:
    return HistoryConflict(
        f"the plan has another {version} than the one that is deployed: its line, or one above it, "
        "was changed",
        version=version,
        hint=f"restore {_PLAN} as it was deployed: git log {_PLAN}",
    )


LAYOUT = Layout(
    name="sqitch",
    recognise=_recognise,
    read=_read,
    new=_new,
    verify="verify/{stem}.sql",
    # ``sqitch.changes``: with a hash of the deploy script.
    history=History(
        columns=dict.fromkeys(
            ("change_id", "change", "project", "committed_at", "planned_at", "planner_name"), ""
        ),
        select="SELECT change_id, {script_hash} AS script_hash, change, project, committed_at "
        "FROM {table} ORDER BY committed_at",
        read=_applied,
        optional=(
            "script_hash",
            "note",
            "committer_name",
            "committer_email",
            "planner_email",
        ),
    ),
    by_time=False,
)
