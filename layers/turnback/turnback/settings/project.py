"""The file ``turnback.toml`` beside the migrations: settings that a project shares."""

from __future__ import annotations

import codecs
import difflib
import errno
import hashlib
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from turnback.errors import ConfigurationError
from turnback.settings import pace
from turnback.settings.environment import ENVIRONMENTS, Environment, policy_of
from turnback.settings.ignore import NOTHING, Ignore
from turnback.settings.windows import Window, windows_of

FILE = "turnback.toml"

# What a database needs, in [environments.NAME]; without one, the sections below have the same.
_PLACES = {
    "url": ("database", "url"),
    "url-variable": ("database", "url-variable"),
    "history-schema": ("history", "schema"),
    "shadow-url": ("rehearsal", "shadow-url"),
    "shadow-url-variable": ("rehearsal", "shadow-url-variable"),
    "pg-version": ("lint", "pg-version"),
}
_ENVIRONMENT = {*_PLACES, "stack", "policy", "backups", "allow-code"}
_SECTIONS: dict[str, set[str]] = {
    "environment": {"variable"},
    "lint": {"off"},
    "layout": {"name", "baseline"},
    "ignore": {"files", "schemas", "objects"},
    "run": {"avoid"},
    "backfill": set(pace.KEYS),
}
for _section, _key in _PLACES.values():
    _SECTIONS.setdefault(_section, set()).add(_key)
_SECTIONS["database"].add("platform")
_ADDRESSES = {"url", "url-variable", "shadow-url", "shadow-url-variable"}
# The names of the command line's options.
_OPTIONS = {
    "database_url": ("url", "url-variable"),
    "history_schema": ("history-schema", None),
    "shadow_url": ("shadow-url", "shadow-url-variable"),
    "stack": ("stack", None),
    "pg_version": ("pg-version", None),
    "allow_code": ("allow-code", None),
    "backups": ("backups", None),
}
# Where the files of a migration are; see docs/write.md.
OWN = "turnback"
LAYOUTS = (
    OWN,
    "dbmate",
    "golang-migrate",
    "goose",
    "sql-migrate",
    "sqlx",
    "diesel",
    "supabase",
    "prisma",
    "node-pg-migrate",
    "graphile-migrate",
    "drizzle",
    "atlas",
    "flyway",
    "yoyo",
    "liquibase",
    "sqitch",
    "plain",
)
# Who has set the database up. "none": nobody but the project.
PLATFORMS = ("none", "supabase")
_RULE = re.compile(r"TB\d(\d\d|xx)")


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
        checksum: SHA-256 of the file's bytes, hex.
    """

    path: Path | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    checksum: str = ""

    @classmethod
    def read(cls, folder: Path) -> ProjectFile:
        """The file in a folder; without one, no settings.

        Raises:
            ConfigurationError: it is not TOML, or has an unknown key or a value of a wrong type.
        """
        path = folder / FILE
        data = bytes_of(path)
        return cls() if data is None else cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, path: Path) -> ProjectFile:
        """The settings in the bytes of a file.

        Raises:
            ConfigurationError: as ``read``.
        """
        # Only here: most projects have no such file.
        import tomllib

        text = decoded(data, FILE)
        try:
            sections = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # Not only TOMLDecodeError: a number of 5,000 digits, and 1,000 brackets.
            at = re.search(r"line (\d+), column (\d+)", str(error))
            raise ConfigurationError(
                f"not valid TOML: {re.sub(r' [(]at .*[)]$', '', str(error))}",
                file=FILE,
                line=int(at[1]) if at else text.count("\n") + 1,
                column=int(at[2]) if at else None,
                hint="the syntax is that of https://toml.io: texts are in quotes",
            ) from error
        found = cls(path, sections, _lines_of(text), hashlib.sha256(data).hexdigest())
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

    @property
    def layout(self) -> str:
        """The name of the layout of the files."""
        return str(self.sections.get("layout", {}).get("name", OWN))

    @property
    def baseline(self) -> str | None:
        """The last version that was applied before turnback was used; None without a baseline."""
        found: str | None = self.sections.get("layout", {}).get("baseline")
        return found

    @property
    def platform(self) -> str | None:
        """Whose roles and schemas the database has before the first migration; None: nobody's."""
        implied = "supabase" if self.layout == "supabase" else "none"
        found = self.sections.get("database", {}).get("platform", implied)
        return None if found == "none" else str(found)

    def no_baseline(self) -> ConfigurationError:
        """The error for a baseline that no file has."""
        return self._error(
            "layout.baseline",
            f"there is no migration {self.baseline}, which is to be the end of the baseline",
            f"write the version of a migration of this folder; {FILE} is for one folder of "
            "migrations: keep a second one elsewhere, with its own",
        )

    @property
    def ignore(self) -> Ignore:
        """What is left out."""
        section = self.sections.get("ignore", {})
        if not section:
            return NOTHING
        return Ignore(*(tuple(section.get(key, ())) for key in ("files", "schemas", "objects")))

    @property
    def avoid(self) -> tuple[Window, ...]:
        """When no migration begins. Raises ConfigurationError."""
        return windows_of(self.sections.get("run", {}).get("avoid", ()))

    @property
    def pace(self) -> pace.Pace:
        """How fast backfills go."""
        return pace.Pace.of(self.sections.get("backfill", {}))

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
            # In a project with one address, the name is that of a policy only.
            known = self.sections.get("environments") or {name: {} for name in ENVIRONMENTS}
            if environment not in known:
                near = difflib.get_close_matches(environment, known, n=1)
                raise ConfigurationError(
                    f"there is no environment {environment!r} in {FILE}",
                    hint=f"did you mean {near[0]!r}?"
                    if near
                    else f"it is one of {', '.join(known)}, or add a section "
                    f"[environments.{environment}] to {FILE}",
                )
            chosen = known[environment]
        found = {}
        for option, (literal, variable) in _OPTIONS.items():
            setting = self._in_environment(chosen, environment or "", literal, variable, variables)
            setting = setting or self._in_section(literal, variable, variables)
            if setting:
                found[option] = setting
        return found

    def environment_in(self, variables: Environment) -> str | None:
        """The environment that the variable of [environment] names; None where it is not set."""
        variable = self.sections.get("environment", {}).get("variable")
        return variables.get(variable, "").strip() or None if variable else None

    def policy(self, environment: str) -> str:
        """What is required before a database of this environment is changed, by its name."""
        keys = self.sections.get("environments", {}).get(environment, {})
        return str(keys.get("policy") or policy_of(environment))

    def history_schema(self, stack: str) -> Setting | None:
        """The schema of the history on AWS; None where the file names none.

        Args:
            stack: name of the stack, whose environment has precedence.
        """
        known = self.sections.get("environments", {})
        names = [name for name, keys in known.items() if keys.get("stack") == stack]
        return self.settings(names[0] if names else None, {}).get("history_schema")

    @property
    def addresses(self) -> list[str]:
        """The keys of databases, each with its line: ``[database] url (turnback.toml:2)``."""
        tables = {name: keys for name, keys in self.sections.items() if name != "environments"}
        environments = self.sections.get("environments", {})
        tables |= {f"environments.{name}": keys for name, keys in environments.items()}
        return [
            f"[{table}] {key} ({self._where(f'{table}.{key}')})"
            for table, keys in tables.items()
            for key in keys
            if key in _ADDRESSES
        ]

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
            value = chosen[literal]
            text = str(value).lower() if isinstance(value, bool) else value
            return Setting(text, self._where(f"{path}.{literal}"))
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
                    if keys.get("policy", ENVIRONMENTS[0]) not in ENVIRONMENTS:
                        at = f"environments.{name}.policy"
                        raise self._unknown("policy", keys["policy"], ENVIRONMENTS, at=at)
            elif section in _SECTIONS:
                self._check_keys(section, content, _SECTIONS[section])
            else:
                raise self._unknown("section", section, [*_SECTIONS, "environments"])
        for kind, at, found, known in (
            ("layout", "layout.name", self.layout, LAYOUTS),
            ("platform", "database.platform", self.platform or PLATFORMS[0], PLATFORMS),
        ):
            if found not in known:
                raise self._unknown(kind, found, known, at=at)
        try:
            _ = self.avoid
        except ConfigurationError as error:
            raise self._error("run.avoid", error.message, error.hint or "") from error
        try:
            _ = self.pace
        except ValueError as error:
            key, form = error.args
            raise self._error(
                f"backfill.{key}", f"{key} has a wrong value", f"write {form}"
            ) from error
        self._check_lint_off()

    def _check_lint_off(self) -> None:
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
            elif key == "allow-code":
                if not isinstance(value, bool):
                    raise self._error(at, f"{key} is not true or false", f"write {key} = true")
            elif path == "ignore" or key == "avoid":
                self._check_patterns(at, key, value)
            elif path != "backfill" and (not isinstance(value, str) or not value.strip()):
                raise self._error(at, f"{key} is not a text", f'write {key} = "…"')
        for key in ("url", "shadow-url"):
            if key in content and f"{key}-variable" in content:
                at = f"{path}.{key}-variable"
                raise self._error(at, f"{key} and {key}-variable are both set", "remove one")

    def _check_patterns(self, at: str, key: str, value: object) -> None:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self._error(at, f"{key} is not a list of texts", f'write {key} = ["…"]')
        for pattern in value:
            if key == "objects" and not pattern.partition(".")[2]:
                raise self._error(
                    at, f"{pattern!r} names no schema", f'write "SCHEMA.{pattern}" or "*.{pattern}"'
                )

    def _unknown(
        self, kind: str, path: str, known: Collection[str], at: str = ""
    ) -> ConfigurationError:
        parent, _, name = ("", "", path) if at else path.rpartition(".")
        place = f" in [{parent}]" if parent else ""
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"possible: {', '.join(sorted(known))}"
        return self._error(at or path, f"unknown {kind} {name!r}{place}", advice)

    def _error(self, path: str, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(message, file=FILE, line=self._line(path), hint=hint)

    def _line(self, path: str) -> int | None:
        return self.lines.get(path)

    def _where(self, path: str) -> str:
        line = self._line(path)
        return f"{FILE}:{line}" if line else FILE


def without_addresses(data: bytes) -> bytes:
    """The file without the addresses of databases, which may have passwords; each line is empty.

    The numbers of the other lines stay as they are.

    Raises:
        ConfigurationError: the file is wrong, or an address shares its line with something else.
    """
    file = ProjectFile.parse(data, Path(FILE))
    lines = data.splitlines(keepends=True)
    wanted = {path: line for path, line in file.lines.items() if _is_address(path)}
    for line in wanted.values():
        lines[line - 1] = re.sub(rb"[^\r\n]", b"", lines[line - 1])
    left = b"".join(lines)
    try:
        rest = ProjectFile.parse(left, Path(FILE)).sections
    except ConfigurationError:
        rest = None
    if rest != _pruned(file.sections):
        first = next(iter(file.addresses)) if file.addresses else FILE
        raise ConfigurationError(
            f"{first} cannot be removed, and an artifact has no addresses of databases",
            file=FILE,
            hint="write each url on a line of its own, below a line with its [section]",
        )
    return left


def _is_address(path: str) -> bool:
    return path.rpartition(".")[2] in _ADDRESSES


def _pruned(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections without addresses."""
    return {
        key: _pruned(value) if isinstance(value, dict) else value
        for key, value in sections.items()
        if key not in _ADDRESSES
    }


def open_regular(path: Path) -> BinaryIO:
    """A file, to be read from its beginning.

    Raises:
        OSError: also where it is a pipe or a device, on which a reader could wait without end.
    """
    # Looked at first, as opening a pipe waits for somebody who writes to it.
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, and no regular file", str(path))
    return path.open("rb")


def bytes_of(path: Path) -> bytes | None:
    """The bytes of a file; None without the file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with open_regular(path) as opened:
            return opened.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}",
            file=path.name,
            hint="check what it is, and its rights",
        ) from error


def decoded(data: bytes, name: str) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        ConfigurationError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        what = "it is UTF-16" if mark else f"byte 0x{data[error.start]:02x} is not UTF-8"
        line = None if mark else data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"cannot be read: {what}", file=name, line=line, hint="save it as UTF-8"
        ) from error


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
