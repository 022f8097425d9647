"""What a command found, shown beside lines of files: by GitHub, GitLab, or in a comment."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ParamSpec, Self

import click

from turnback.cli.explain import error_address
from turnback.cli.output import Output
from turnback.errors import CheckFailed, ConfigurationError, TurnbackError
from turnback.wording import counted, visible

P = ParamSpec("P")

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["human", "json", "github", "gitlab", "markdown"]),
    default="human",
    show_default=True,
    help="For a terminal, a program, GitHub's annotations, GitLab's Code Quality, or a comment.",
)

# Level → the word for it on GitHub ("Workflow commands") and GitLab ("Code Quality report format").
_GITHUB = {"error": "error", "warning": "warning", "info": "notice"}
_GITLAB = {"error": "major", "warning": "minor", "info": "info"}
# GitHub refuses a comment of more than 65,536 characters.
_LONGEST = 60_000


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark on a line of a file.

    Attributes:
        level: ``error``, ``warning`` or ``info``.
        rule, name: what found it, such as ``TB101`` and ``index-blocks-writes``.
        title: what it finds, in half a sentence.
        file: path relative to the project's folder, with forward slashes.
        line, column: where, both from 1.
        message: one sentence.
        why: more about it; may be empty.
        sql: to copy; may be empty.
        page: of the documentation, its address.
    """

    level: str
    rule: str
    name: str
    title: str
    file: str
    line: int
    column: int
    message: str
    why: str
    sql: str
    page: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """All that a command has found.

    Attributes:
        command: its name.
        summary: all of it in one line.
        folder: the project's, from the root of the repository.
    """

    command: str
    summary: str
    folder: str
    found: Sequence[Annotation]

    @classmethod
    def of_errors(cls, command: str, errors: Sequence[TurnbackError], folder: str) -> Self:
        """Errors in files; those without a file are left out."""
        found = [
            Annotation(
                level="error",
                rule=command,
                name=type(error).__name__,
                title=command,
                file=error.file,
                line=error.line or 1,
                column=error.column or 1,
                message=error.message,
                why=error.hint or "",
                sql="",
                page=error_address(type(error)),
            )
            for error in errors
            # The settings are not in the folder of the migrations.
            if error.file and not isinstance(error, ConfigurationError)
        ]
        return cls(command, counted(len(errors), "finding"), folder, found)

    def print(self, form: str, out: Output) -> None:
        """Print it, if the form is ``github``, ``gitlab`` or ``markdown``."""
        if form not in ("human", "json") and not out.as_json:
            out.result_is_aside = False
            if text := self.render(form):
                out.result(text)
            out.result_is_aside = True

    def render(self, form: str) -> str:
        """The text for ``--format github``, ``gitlab`` or ``markdown``."""
        match form:
            case "github":
                return "\n".join(self._github())
            case "gitlab":
                return self._gitlab()
            case _:
                return self._markdown()

    def _path(self, one: Annotation) -> str:
        return f"{self.folder}/{one.file}" if self.folder not in ("", ".") else one.file

    def _github(self) -> Iterable[str]:
        for one in self.found:
            properties = {
                "file": self._path(one),
                "line": str(one.line),
                "col": str(one.column),
                "title": f"{one.rule} {one.name}",
            }
            shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
            parts = [one.message, one.why, one.sql, one.page]
            text = "\n".join(filter(None, parts))
            yield f"::{_GITHUB[one.level]} {shown}::{github_data(text)}"

    def _gitlab(self) -> str:
        seen: dict[tuple[str, ...], int] = {}
        issues = []
        for one in self.found:
            # GitLab compares by it what is new; a line that moved is not.
            key = (one.rule, one.name, self._path(one), one.message)
            number = seen[key] = seen.get(key, 0) + 1
            text = "\0".join((*key, str(number)))
            issues.append(
                {
                    "description": " ".join(filter(None, (one.message, one.why))),
                    "check_name": f"{one.rule} {one.name}",
                    "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
                    "severity": _GITLAB[one.level],
                    "location": {"path": self._path(one), "lines": {"begin": one.line}},
                }
            )
        return json.dumps(issues, indent=2)

    def _markdown(self) -> str:
        # A bot finds its own comment by the first line, to write it anew.
        head = [f"<!-- turnback {self.command} -->", f"### turnback {self.command}: {self.summary}"]
        if not self.found:
            return "\n".join(head)
        lines = [*head, "", "| | rule | where | what |", "|---|---|---|---|"]
        for one in self.found:
            cells = [one.level, one.rule, f"`{self._path(one)}:{one.line}`", _cell(one.message)]
            lines.append(f"| {' | '.join(cells)} |")
        text = "\n".join(lines) + "\n"
        for number, one in enumerate(self.found):
            details = self._details(one)
            if len(text) + len(details) > _LONGEST:
                left = counted(len(self.found) - number, "finding")
                return f"{text[:_LONGEST]}\n{left} more: run `turnback {self.command}`.\n"
            text += details
        return text

    def _details(self, one: Annotation) -> str:
        where = f"{self._path(one)}:{one.line}"
        page = f"\n<{one.page}>\n" if one.page else ""
        sql = f"\n```sql\n{one.sql}\n```\n" if one.sql else ""
        return (
            f"\n<details><summary>{one.rule} {_escaped(one.title)} "
            f"({_escaped(where)})</summary>\n\n"
            f"{_escaped(one.why)}\n{sql}{page}</details>\n"
        )


def formatted(command: Callable[P, int]) -> Callable[P, int]:
    """Let a command with ``--format`` print an error of a file in that form as well."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        form, directory, out = (kwargs[name] for name in ("form", "directory", "out"))
        assert isinstance(form, str)
        assert isinstance(directory, Path)
        assert isinstance(out, Output)
        if form == "json":
            out.as_json = True
        # Only what the form says goes to stdout.
        out.result_is_aside = out.as_json or form != "human"
        try:
            return command(*args, **kwargs)
        except TurnbackError as error:
            found = error.findings if isinstance(error, CheckFailed) else [error]
            name = command.__name__
            Annotations.of_errors(name, found, folder_of(directory)).print(form, out)
            raise

    return wrapper


def folder_in(root: PurePath, folder: PurePath, otherwise: PurePath) -> str:
    """A folder as the repository knows it, with forward slashes.

    Args:
        root: of the repository.
        folder: the folder.
        otherwise: how it is named where it is not below the root.
    """
    return (folder.relative_to(root) if folder.is_relative_to(root) else otherwise).as_posix()


def folder_of(directory: Path) -> str:
    """The folder of a project, from the current folder."""
    return folder_in(Path.cwd().resolve(), directory.resolve(), directory)


def github_data(text: str) -> str:
    """A text as the data of a workflow command of GitHub: one line, which cannot end it."""
    return visible(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return github_data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
