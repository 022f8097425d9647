"""A page of the documentation, run from its first line to its last in one empty folder.

A block of ``console`` has commands after ``$``, each with what it prints; they are compared apart
from times, sizes and ids. What a reader does between two blocks is in comments of HTML:

    <!-- example: file PATH -->            the next block is this file; "file first PATH": from
                                           the beginning, because the page shows it later
    <!-- example: run -->                  the next block is a script: each line must succeed
    <!-- example: not run, because … -->   it needs what is not here
    <!-- example: setup                    commands of the test, before the next block
    … -->
    <!-- example: database -->             DATABASE_URL is an empty database, to the end of the page

Every block of commands is one of these.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from turnback.local.programs import binaries

_BLOCK = re.compile(
    r"<!-- example: (?P<mark>.*?) ?-->|^(?P<pad> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
# What has commands in it; a diagram or a listing is `text`.
COMMANDS = ("", "sh", "bash", "console")
# Lines about where a database is; a page shows them where they matter.
_ASIDE = re.compile(
    r"^(No --database-url and no DATABASE_URL: |Making a Postgres of |The shadow database is ).*\n",
    re.M,
)
_PROMPT = "[y/N]: y"
# What no two runs have alike, and what stands for it.
_CHANGING = (
    (re.compile(r"r[-_]20\d{6}[tT]\d{6}[zZ][-_][0-9a-f]{6}"), "«id»"),
    (re.compile(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?"), "«when»"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b( \d+ s)?"), "«time»"),
    (re.compile(r"\b[\d,.]+ (bytes|kB|MB)\b"), "«size»"),
    (re.compile(r"\b(?=\w*\d)[0-9a-f]{8,64}\b"), "«hex»"),
    (re.compile(r" +"), " "),
)
_ID = _CHANGING[0][0]


@dataclass(slots=True)
class Outcome:
    """What came of a page.

    Attributes:
        run: how many commands were run and compared, or had to succeed.
        files: how many files of the page were used.
        not_run: why a block was not run, and its line.
        problems: each that differs, with its line.
    """

    run: int = 0
    files: int = 0
    not_run: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, the line it is at, and the comment before it."""

    line: int
    mark: str
    kind: str
    text: str


def unmarked(page: str) -> list[int]:
    """The lines of blocks with commands that are neither ``console`` nor marked."""
    found = blocks(page)
    return [b.line for b in found if not b.mark and b.kind in COMMANDS and b.kind != "console"]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, each with the comment before it; a setup is a block of its own."""
    mark = ""
    for found in _BLOCK.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        if found["mark"] is None:
            text = re.sub(rf"^{found['pad']}", "", found["text"], flags=re.M)
            yield Block(line, mark, found["kind"], text)
            mark = ""
        elif found["mark"].startswith(("setup", "database")):
            word, _, text = found["mark"].partition("\n")
            yield Block(line, word.strip(), "", text)
        else:
            mark = found["mark"]


class Page:
    """One page, its folder, and what its commands leave in the shell.

    Args:
        path: the page.
        folder: an empty one; the page is run in ``learning`` below it.
        database: makes an empty database, and gives its address.
    """

    def __init__(self, path: Path, folder: Path, database: str) -> None:
        self.path, self._database = path, database
        self._place = folder / "learning"
        self._place.mkdir()
        self._shell = folder / "shell"
        self._ids: dict[str, str] = {}
        self.outcome = Outcome()
        programs = f"{Path(sys.executable).parent}:{binaries()}"
        environment = {
            "HOME": str(folder),
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "USER": "ann",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "ann"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "ann@example.com"),
        }
        self._keep(self._place, environment)

    def _keep(self, place: Path, environment: Mapping[str, str]) -> None:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        self._shell.write_text("\n".join([*lines, f"cd {shlex.quote(str(place))}", ""]))

    def run(self) -> Outcome:
        """Run the page; what differs is among its problems."""
        found = list(blocks(self.path.read_text()))
        for block in found:
            if block.mark.startswith("file first "):
                self._write(block.mark.removeprefix("file first "), block.text)
        for block in found:
            self._step(block)
        return self.outcome

    def _step(self, block: Block) -> None:
        word, _, rest = block.mark.partition(" ")
        if word == "setup":
            self._succeed(block)
        elif word == "database":
            with self._shell.open("a") as shell:
                shell.write(f"export DATABASE_URL={shlex.quote(self._database)}\n")
        elif word == "file":
            self.outcome.files += 1
            if not rest.startswith("first "):
                self._write(rest, block.text)
        elif word == "not":
            self.outcome.not_run.append(f"line {block.line}: {rest.removeprefix('run, because ')}")
        elif word == "run":
            self.outcome.run += len(block.text.strip().splitlines())
            self._succeed(replace(block, text=re.sub(r"^\$ ", "", block.text, flags=re.M)))
        elif block.kind == "console":
            self._compare(block)

    def _write(self, name: str, text: str) -> None:
        path = self._place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _succeed(self, block: Block) -> None:
        code, said = self._execute(f"set -e\n{block.text}", answer=False)
        if code:
            self.outcome.problems.append(f"line {block.line}: exit code {code}\n{said}")

    def _compare(self, block: Block) -> None:
        line = block.line
        for part in re.split(r"^(?=\$ )", block.text, flags=re.M):
            if part.startswith("$ "):
                command, _, shown = part[2:].partition("\n")
                while command.endswith("\\"):
                    more, _, shown = shown.partition("\n")
                    command += f"\n{more}"
                for old, new in self._ids.items():
                    command = command.replace(old, new)
                _, said = self._execute(command, answer=_PROMPT in shown)
                self.outcome.run += 1
                if not self._same(shown, said):
                    self.outcome.problems.append(
                        f"line {line}: $ {command}\n--- the page\n{shown}\n--- the command\n{said}"
                    )
            line += part.count("\n")

    def _same(self, shown: str, said: str) -> bool:
        """Whether a command printed what the page shows; … on it is anything."""
        lines = [
            r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
            for line in _plain(shown).splitlines()
        ]
        self._ids |= dict(zip(_ID.findall(shown), _ID.findall(said), strict=False))
        return re.fullmatch("".join(lines), f"{_plain(said)}\n".lstrip("\n")) is not None

    def _execute(self, command: str, *, answer: bool) -> tuple[int, str]:
        """Run it after what was run before; with an answer, at a terminal."""
        kept = f"{self._shell}.new"
        text = (
            f"source {self._shell}\n{{ {command}\n}}\ncode=$?\n"
            f"{{ export -p; echo \"cd '$PWD'; (exit $code)\"; }} > {kept}\n(exit $code)"
        )
        if not answer:
            done = subprocess.run(
                ["bash", "-c", text],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={},
                check=False,
            )
            code, said = done.returncode, done.stdout
        else:
            code, said = _at_a_terminal(["bash", "-c", text])
        if Path(kept).exists():
            Path(kept).replace(self._shell)
        return code, said


def _plain(text: str) -> str:
    """Without what changes from run to run."""
    text = _ASIDE.sub("", text.replace("\r\n", "\n"))
    text = re.sub(r"(^|\s)/\S*/learning\b", r"\1…/learning", text)
    text = text.replace("…/learning", "/learning")
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines() if line.strip())


def _at_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a command that asks, and answer yes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={})
    os.close(theirs)
    said = b""
    while True:
        if not select.select([ours], [], [], 120)[0]:
            process.kill()
        try:
            read = os.read(ours, 4096)
        except OSError:
            # The terminal is closed: nobody writes to it any more.
            read = b""
        if not read:
            break
        said += read
        if said.endswith(b"[y/N]: "):
            os.write(ours, b"y\n")
    os.close(ours)
    return process.wait(), said.decode()
