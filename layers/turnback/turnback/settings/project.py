"""The file ``turnback.toml`` beside the migrations, and ``.env``: settings of the command line."""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnback.errors import ConfigurationError
from turnback.settings.environment import Environment

FILE = "turnback.toml"
ENV_FILE = ".env"

# What a database needs, in [environments.NAME]; without one, the sections below have the same.
_PLACES = {
    "url": ("database", "url"),
    "url-variable": ("database", "url-variable"),
    "history-schema": ("history", "schema"),
    "shadow-url": ("rehearsal", "shadow-url"),
    "shadow-url-variable": ("rehearsal", "shadow-url-variable"),
}
_ENVIRONMENT = {*_PLACES, "stack"}
_SECTIONS: dict[str, set[str]] = {"lint": {"off"}}
for _section, _key in _PLACES.values():
    _SECTIONS.setdefault(_section, set()).add(_key)
# The names of the command line's options.
_OPTIONS = {
    "database_url": ("url", "url-variable"),
    "history_schema": ("history-schema", None),
    "shadow_url": ("shadow-url", "shadow-url-variable"),
    "stack": ("stack", None),
}
_RULE = re.compile(r"TB\d{3}")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the file.

    Attributes:
        value: the value; None if it is in a variable that is not set.
        where: the line that sets it, for example ``turnback.toml:4``.
        variable: the environment variable that contains the value; None for a literal.
    """

    value: str | None
    where: str
    variable: str | None = None

    def get(self) -> str:
        """The value.

        Raises:
            ConfigurationError: its variable is not set.
        """
        if self.value is None:
            raise ConfigurationError(
                f"{self.where}: the environment variable {self.variable} is not set",
                hint=f"export {self.variable}=…, or name the database with --database-url",
            )
        return self.value


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """The settings of a project.

    Attributes:
        path: the file; None if it does not exist.
        sections: its contents, checked.
        lines: the line of each key, by its path such as ``database.url``.
    """

    path: Path | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ProjectFile:
        """The file in a folder; without one, no settings.

        Raises:
            ConfigurationError: it is not TOML, or has an unknown key or a value of a wrong type.
        """
        path = folder / FILE
        text = _text_of(path)
        if text is None:
            return cls()
        # Only here: most projects have no such file.
        import tomllib

        try:
            sections = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"line (\d+), column (\d+)", str(error))
            raise ConfigurationError(
                f"not valid TOML: {re.sub(r' [(]at .*[)]$', '', str(error))}",
                file=FILE,
                line=int(at[1]) if at else text.count("\n") + 1,
                column=int(at[2]) if at else None,
            ) from error
        found = cls(path, sections, _lines_of(text))
        found._check()
        return found

    @property
    def environments(self) -> list[str]:
        """The names of the environments, sorted."""
        return sorted(self.sections.get("environments", {}))

    @property
    def lint_off(self) -> dict[str, str]:
        """Lint rules that are turned off, with the reason."""
        return dict(self.sections.get("lint", {}).get("off", {}))

    def settings(self, environment: str | None, variables: Environment) -> dict[str, Setting]:
        """The settings by the name of their option: ``database_url``, ``history_schema``, ….

        Args:
            environment: name of a section [environments.NAME], whose keys have precedence.
            variables: the environment variables.

        Raises:
            ConfigurationError: there is no such environment.
        """
        chosen: Mapping[str, Any] = {}
        if environment is not None:
            known = self.sections.get("environments", {})
            if environment not in known:
                near = difflib.get_close_matches(environment, known, n=1)
                raise ConfigurationError(
                    f"there is no environment {environment!r} in {FILE}",
                    hint=f"did you mean {near[0]!r}?"
                    if near
                    else f"add a section [environments.{environment}] to {FILE}",
                )
            chosen = known[environment]
        found = {}
        for option, (literal, variable) in _OPTIONS.items():
            setting = self._in_environment(chosen, environment or "", literal, variable, variables)
            setting = setting or self._in_section(literal, variable, variables)
            if setting:
                found[option] = setting
        return found

    def _in_environment(
        self,
        chosen: Mapping[str, Any],
        environment: str,
        literal: str,
        variable: str | None,
        variables: Environment,
    ) -> Setting | None:
        path = f"environments.{environment}"
        if literal in chosen:
            return Setting(chosen[literal], self._where(f"{path}.{literal}"))
        if variable is not None and variable in chosen:
            name = chosen[variable]
            return Setting(variables.get(name), self._where(f"{path}.{variable}"), name)
        return None

    def _in_section(
        self, literal: str, variable: str | None, variables: Environment
    ) -> Setting | None:
        for name in (literal, variable):
            if name is None or name not in _PLACES:
                continue
            section, key = _PLACES[name]
            value = self.sections.get(section, {}).get(key)
            if value is not None:
                where = self._where(f"{section}.{key}")
                return (
                    Setting(value, where)
                    if name == literal
                    else Setting(variables.get(value), where, value)
                )
        return None

    def _check(self) -> None:
        for section, content in self.sections.items():
            if section == "environments":
                self._check_table(section, content)
                for name, keys in content.items():
                    self._check_keys(f"environments.{name}", keys, _ENVIRONMENT)
            elif section in _SECTIONS:
                self._check_keys(section, content, _SECTIONS[section])
            else:
                raise self._unknown("section", section, [*_SECTIONS, "environments"])
        for rule, reason in self.lint_off.items():
            at = f"lint.off.{rule}"
            if not _RULE.fullmatch(rule):
                raise self._error(at, f"{rule!r} is not a lint rule", "write TB101, for example")
            if not isinstance(reason, str) or not reason.strip():
                raise self._error(at, f"{rule} has no reason", f'write {rule} = "the reason"')

    def _check_table(self, path: str, content: object) -> None:
        if not isinstance(content, dict):
            raise self._error(path, f"{path} is not a section", f"write [{path}]")

    def _check_keys(self, path: str, content: Any, known: set[str]) -> None:
        self._check_table(path, content)
        for key, value in content.items():
            at = f"{path}.{key}"
            if key not in known:
                raise self._unknown("key", at, known)
            if key == "off":
                self._check_table(at, value)
            elif not isinstance(value, str) or not value.strip():
                raise self._error(at, f"{key} is not a text", f'write {key} = "…"')
        for key in ("url", "shadow-url"):
            if key in content and f"{key}-variable" in content:
                at = f"{path}.{key}-variable"
                raise self._error(at, f"{key} and {key}-variable are both set", "remove one")

    def _unknown(self, kind: str, path: str, known: Iterable[str]) -> ConfigurationError:
        parent, _, name = path.rpartition(".")
        place = f" in [{parent}]" if parent else ""
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"possible: {', '.join(sorted(known))}"
        return self._error(path, f"unknown {kind} {name!r}{place}", advice)

    def _error(self, path: str, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(message, file=FILE, line=self._line(path), hint=hint)

    def _line(self, path: str) -> int | None:
        return self.lines.get(path)

    def _where(self, path: str) -> str:
        line = self._line(path)
        return f"{FILE}:{line}" if line else FILE


def read_env_file(folder: Path) -> dict[str, str]:
    """The variables of ``.env`` in a folder; empty without one.

    One ``NAME=value`` a line, with ``export`` before it or without; values in single or double
    quotes; comments begin with ``#``.

    Raises:
        ConfigurationError: a line is something else, or the file cannot be read.
    """
    # A folder of this name is mostly a virtual environment of Python.
    text = None if (folder / ENV_FILE).is_dir() else _text_of(folder / ENV_FILE)
    found: dict[str, str] = {}
    if text is None:
        return found
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise ConfigurationError(
                "not an assignment", file=ENV_FILE, line=number, hint="write NAME=value"
            )
        found[match[1]] = _unquoted(match[2])
    return found


def _text_of(path: Path) -> str | None:
    """The text of a file, without a byte order mark; None without the file.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}",
            file=path.name,
            hint="check what it is, and its rights",
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        what = "it is UTF-16" if mark else f"byte 0x{data[error.start]:02x} is not UTF-8"
        line = None if mark else data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"cannot be read: {what}", file=path.name, line=line, hint="save it as UTF-8"
        ) from error


def _unquoted(value: str) -> str:
    quoted = re.match(r"'([^']*)'\s*(?:#.*)?$", value)
    if quoted:
        return quoted[1]
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$', value)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return re.sub(r"\s+#.*$", "", value).strip()


def _lines_of(text: str) -> dict[str, int]:
    """The line of each section and key, for messages; tomllib does not return them."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if header:
            section = header[1].replace('"', "").replace("'", "")
            found.setdefault(section, number)
        elif key:
            name = key[1].replace('"', "").replace("'", "")
            found.setdefault(f"{section}.{name}" if section else name, number)
            # Of an inline table, such as off = { TB101 = "…" }, each key is on this line.
            for inner in re.findall(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", line):
                found.setdefault(f"{section}.{name}.{inner}" if section else inner, number)
    return found
