"""The team's own Prisma: what it finds different between a database and ``schema.prisma``.

It is run as the team runs it, from ``node_modules``, in the folder of its ``package.json``. The
database that it compares is named in a configuration of ours, over the team's, so that it can be no
other. Versions up to 6 take the address from the schema, later ones from ``prisma.config.ts``; the
help of ``migrate diff`` says which options there are.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from turnback.engine.session.prisma_address import in_prismas_words
from turnback.errors import ConfigurationError

# A first run may load Prisma's engine from the network.
_TIMEOUT_S = 600
_URL = "TURNBACK_SHADOW_URL"
# What the team's schema and configuration may read their addresses from.
_ADDRESSES = ("DATABASE_URL", "DIRECT_URL", "SHADOW_DATABASE_URL", _URL)
# What reads no database wants these to be set all the same.
_NOWHERE = dict.fromkeys(_ADDRESSES, "postgresql://localhost/postgres")
_QUIET = {"CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1", "NO_COLOR": "1"}
_CONFIGURATIONS = ("prisma.config", ".config/prisma")
_ENDINGS = ("ts", "mts", "cts", "js", "mjs", "cjs")
_SCHEMAS = re.compile(r"^\s*schemas\s*=\s*(\[[^\]]*\])", re.MULTILINE)
# What Prisma says besides.
_REMARK = re.compile(
    r"^(Loaded Prisma config|Prisma config detected|Prisma schema loaded).*\n?", re.M
)
_HINTS = {
    "binaries.prisma.sh": "Prisma could not load its engine: allow that host, or use a mirror "
    "(PRISMA_ENGINES_MIRROR)",
    "Cannot find module": "run npm install",
    "P1012": "correct the schema: prisma validate says the same",
}
# What is asked before a commit.
_CHECKS = {
    "validate": "correct the schema",
    "format --check": "prisma format, and add the schema to the commit again",
}
# Of a shell, and of env: it does not find the program of a script, which is node.
_NOT_FOUND = 127


@dataclass(frozen=True)
class Prisma:
    """Prisma, and the schema that it reads.

    Attributes:
        command: the program with its first arguments.
        schema: the file, or the folder of the files; absolute.
        folder: where it runs.
    """

    command: tuple[str, ...]
    schema: Path
    folder: Path

    @classmethod
    def find(cls, schema: Path, command: str | None = None) -> Prisma:
        """Prisma as the project with this schema has it.

        Args:
            schema: the file or the folder.
            command: what runs it, for example ``yarn prisma``; without one, it is looked for in
                ``node_modules``, from the schema upwards.

        Raises:
            ConfigurationError: there is no such schema, or Prisma is not installed.
        """
        if not schema.exists():
            raise ConfigurationError(
                f"there is no {schema}", hint="name Prisma's schema, a file or a folder: --schema"
            )
        found = cls._installed(schema.resolve(), command)
        if found is None:
            raise ConfigurationError(
                f"Prisma is not installed: no node_modules/.bin/prisma beside {schema} or above",
                hint='npm install, or name its command: --prisma "yarn prisma"',
            )
        return found

    @classmethod
    def of_project(cls, directory: Path) -> Prisma | None:
        """Prisma as the project with these migrations has it; None if it has no Prisma."""
        schemas = (path for path in candidates(directory) if path.exists())
        return next((cls._installed(path.resolve(), None) for path in schemas), None)

    @classmethod
    def _installed(cls, schema: Path, command: str | None) -> Prisma | None:
        above = [schema, *schema.parents] if schema.is_dir() else list(schema.parents)
        folder = next((one for one in above if (one / "package.json").is_file()), above[0])
        if command:
            return cls(tuple(shlex.split(command)), schema, folder)
        places = os.pathsep.join(str(one / "node_modules" / ".bin") for one in above)
        program = shutil.which("prisma", path=places)
        return cls((program,), schema, folder) if program else None

    @property
    def qualified(self) -> bool:
        """Whether the schema is about several schemas of the database."""
        return self._schemas is not None

    def prepare(self) -> None:
        """Find out how it compares, before anything else is begun.

        Raises:
            ConfigurationError: it does not start.
        """
        _ = self._by_configuration

    def forward(self, url: str) -> str:
        """The SQL from the database at this address to the schema; see rehearsal.derive."""
        return self._diff(url, back=False)

    def back(self, url: str) -> str:
        """The SQL from the schema to the database at this address."""
        return self._diff(url, back=True)

    def faults(self) -> list[ConfigurationError]:
        """What Prisma has against the schema, or else against its format."""
        for command, hint in _CHECKS.items():
            arguments = [*command.split(), "--schema", str(self.schema)]
            done = self._run(arguments, {**_NOWHERE, **os.environ})
            if done.returncode:
                return [ConfigurationError(f"prisma {command}: {_said(done)}", hint=hint)]
        return []

    @cached_property
    def _schemas(self) -> str | None:
        """The list of the database's schemas that it is about; None where that is one."""
        files = sorted(self.schema.rglob("*.prisma")) if self.schema.is_dir() else [self.schema]
        found = (_SCHEMAS.search(one.read_text(encoding="utf-8")) for one in files)
        return next((match[1] for match in found if match), None)

    @cached_property
    def _by_configuration(self) -> bool:
        """Whether it takes the address from its configuration."""
        return "--from-config-datasource" in self._help

    @cached_property
    def _help(self) -> str:
        return self._checked(["migrate", "diff", "--help"], _NOWHERE)

    @cached_property
    def _configuration(self) -> Path | None:
        paths = (
            self.folder / f"{name}.{ending}" for name in _CONFIGURATIONS for ending in _ENDINGS
        )
        return next((path for path in paths if path.is_file()), None)

    def _diff(self, url: str, *, back: bool) -> str:
        address = in_prismas_words(url)
        with tempfile.TemporaryDirectory(prefix="turnback-prisma-") as name:
            folder = Path(name)
            ends = self._ends(folder)
            sides = ("--to", "--from") if back else ("--from", "--to")
            options = [f"{side}-{end}" for side, end in zip(sides, ends, strict=True)]
            arguments = ["migrate", "diff", "--script", *self._configured(folder), *options]
            variables = dict.fromkeys(_ADDRESSES, address)
            said = self._checked(arguments, variables)
        if not said.strip():
            # Where nothing differs, Prisma says that the migration is empty.
            raise ConfigurationError(
                f"{self._name} migrate diff has printed nothing",
                hint="its engine may not run: prisma --version",
            )
        return said

    def _ends(self, folder: Path) -> tuple[str, str]:
        """The options for the database and for the schema, without their direction."""
        if self._by_configuration:
            return "config-datasource", f"schema={self.schema}"
        schemas = f"  schemas = {self._schemas}\n" if self._schemas else ""
        datasource = folder / "datasource.prisma"
        datasource.write_text(
            f'datasource db {{\n  provider = "postgresql"\n  url = env("{_URL}")\n{schemas}}}\n'
        )
        return f"schema-datasource={datasource}", f"schema-datamodel={self.schema}"

    def _configured(self, folder: Path) -> list[str]:
        """The option for a configuration that is the team's, with the address of the shadow."""
        if not self._by_configuration and not self._configuration:
            return []
        given = "const team = {};"
        if self._configuration:
            given = f"import team from {json.dumps(self._configuration.as_posix())};"
        address = f"datasource: {{ url: process.env.{_URL} }}"
        if not self._by_configuration:
            address = f"...(rest.datasource ? {{ engine: 'classic', {address} }} : {{}})"
        file = folder / "prisma.config.ts"
        file.write_text(
            f"{given}\n"
            "const { adapter, engine, ...rest } = team as any;\n"
            f"export default {{ ...rest, schema: {json.dumps(str(self.schema))}, {address} }};\n"
        )
        return [f"--config={file}"]

    def _checked(self, arguments: Sequence[str], variables: Mapping[str, str]) -> str:
        """What it prints.

        Raises:
            ConfigurationError: it fails, with what it says.
        """
        done = self._run(arguments, {**os.environ, **variables})
        if done.returncode == 0:
            return done.stdout
        said = _said(done)
        for secret in set(variables.values()):
            said = said.replace(secret, "the shadow database")
        hint = "Prisma's own commands say more: prisma validate, prisma --version"
        if done.returncode == _NOT_FOUND:
            hint = "install Node.js, or put it on the PATH"
        hints = (hint for word, hint in _HINTS.items() if word in said)
        raise ConfigurationError(
            f"{self._name} {' '.join(arguments[:2])} fails: {said}", hint=next(hints, hint)
        )

    def _run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self.command, *arguments],
                cwd=self.folder,
                env={**environment, **_QUIET},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_TIMEOUT_S,
            )
        except OSError as error:
            raise ConfigurationError(
                f"{self._name} cannot be run: {error.strerror}",
                hint="name the command that runs Prisma: --prisma",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(
                f"{self._name} has not answered in {_TIMEOUT_S} s",
                hint="run prisma --version by hand: it may wait for the network",
            ) from error

    @property
    def _name(self) -> str:
        return Path(self.command[0]).name


def candidates(directory: Path) -> Iterator[Path]:
    """Where Prisma's schema may be, seen from the folder of the migrations."""
    for folder in (directory.parent, directory.parent / "prisma", Path("prisma"), Path()):
        yield folder / "schema.prisma"
        if folder.name == "prisma":
            yield folder / "schema"


def _said(done: subprocess.CompletedProcess[str]) -> str:
    said = _REMARK.sub("", f"{done.stderr.strip()}\n{done.stdout.strip()}").strip()
    return said.removeprefix("Error: ").strip() or f"exit code {done.returncode}"
