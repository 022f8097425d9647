"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from turnback.cli import param_types as types
from turnback.cli.output import SettingsError, set_verbose
from turnback.cli.snippet import SETTINGS_FOLDER
from turnback.errors import ConfigurationError
from turnback.settings.env_file import EnvFile, read_env_file
from turnback.settings.environment import CodeRule, Policy
from turnback.settings.project import ProjectFile, Setting

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, shown in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@dataclass(slots=True)
class ProjectSettings:
    """What turnback.toml and .env say, for one call of a command.

    Attributes:
        file: turnback.toml.
        environment: the name given with --env, or by the variable of [environment].
        found: the settings by the name of their option.
        env_file: .env.
        from_env_file: the variables that it has set.
        direct: whether the database is that of DIRECT_URL, and not of DATABASE_URL.
    """

    file: ProjectFile
    environment: str | None
    found: dict[str, Setting]
    env_file: EnvFile
    from_env_file: set[str]
    direct: bool = False

    @property
    def policy(self) -> Policy | None:
        """What the environment requires before its database is changed; None without one."""
        if self.environment is None:
            return None
        return Policy.read({"ENVIRONMENT": self.file.policy(self.environment)})

    def value(self, variable: str, option: str) -> str | None:
        """What an option would be that the command does not have.

        Args:
            variable: the environment variable of the option.
            option: its name.
        """
        found = self.found.get(option)
        return os.environ.get(variable) or (found.get() if found else None)

    def source(self, ctx: click.Context, param: click.Parameter) -> str:
        """Where the value of an option comes from: ``option``, ``DATABASE_URL in .env:2``, …."""
        name = param.name or ""
        match ctx.get_parameter_source(name):
            case ParameterSource.COMMANDLINE:
                return "option"
            case ParameterSource.ENVIRONMENT:
                variable = str(param.envvar)
                if self.direct and variable == "DATABASE_URL":
                    variable = "DIRECT_URL"
                if variable not in self.from_env_file:
                    return variable
                return f"{variable} in {self.env_file.path}:{self.env_file.lines[variable]}"
            case ParameterSource.DEFAULT_MAP:
                setting = self.found[name]
                return f"{setting.where}, {setting.variable}" if setting.variable else setting.where
            case _:
                return "default"


def project_settings(ctx: click.Context) -> ProjectSettings:
    """The project's settings, as the options of this command have read them."""
    settings: ProjectSettings = ctx.meta[_META]
    return settings


def _named_source(ctx: click.Context, param: click.Parameter) -> str:
    """Where the value of an option comes from, in brackets; "" for the option itself."""
    settings: ProjectSettings | None = ctx.meta.get(_META)
    source = settings.source(ctx, param) if settings else "default"
    return "" if source in ("option", "default") else f" ({source})"


def name_source(error: click.BadParameter) -> None:
    """Let an error of a value name where that value comes from, if it is no option."""
    if error.ctx and error.param and error.param_hint is None:
        source = _named_source(error.ctx, error.param)
        option = max(error.param.opts, key=len)
        error.param_hint = f"'{option}'{source}" if source else None


_META = "turnback.project"
_GIVEN = "turnback.given"
_EMBEDDED = "turnback.embedded"


def _collect(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Note an option that decides which settings are read; the last one reads them.

    These options are eager, so the settings are known before any other option looks for its
    environment variable and its default.
    """
    if ctx.resilient_parsing:
        return value
    given = ctx.meta.setdefault(_GIVEN, {})
    given[param.name] = value
    wanted = {
        item.name for item in ctx.command.params if getattr(item, "callback", None) is _collect
    }
    if wanted <= given.keys():
        try:
            _read_settings(ctx, given)
        except ConfigurationError as error:
            raise SettingsError(error) from error
    return value


def _read_settings(ctx: click.Context, given: Mapping[str, Any]) -> None:
    directory = given.get("directory")
    folder = Path.cwd() if directory is None else Path(directory).resolve().parent
    env_file = EnvFile() if given["no_env_file"] else read_env_file(Path.cwd(), folder)
    added = {name for name in env_file.values if name not in os.environ}
    os.environ.update({name: env_file.values[name] for name in added})
    ctx.meta[SETTINGS_FOLDER] = folder
    file = ProjectFile.read(folder)
    named = file.environment_in(os.environ)
    environment = given["env"] or named
    # The variable may be one of another program: it need not have a section.
    has_section = given["env"] or named in file.environments
    found = file.settings(environment if has_section else None, os.environ)
    if environment:
        source = "--env" if given["env"] else "the environment"
        _refuse_two_databases(found, f"{source} {environment}", added)
    ctx.meta[_META] = ProjectSettings(file, environment, found, env_file, added)
    read = {param.envvar for param in ctx.command.params}
    read |= {setting.variable for setting in found.values()}
    if used := added & read:
        _remark(f"Read from {env_file.path}: {', '.join(sorted(used))}")
    defaults = {name: partial(_value, ctx, setting) for name, setting in found.items()}
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _refuse_two_databases(
    found: Mapping[str, Setting], environment: str, from_env_file: set[str]
) -> None:
    """--env names a database, so that a variable that names another must not win silently."""
    variables = {"database_url": "DATABASE_URL", "shadow_url": "TURNBACK_SHADOW_URL"}
    variables |= {"stack": "TURNBACK_STACK", "history_schema": "TURNBACK_HISTORY_SCHEMA"}
    for option, variable in variables.items():
        setting, other = found.get(option), os.environ.get(variable)
        if setting is None or not other or other == setting.value:
            continue
        if variable in from_env_file:
            # Somebody who names an environment does not mean the one of .env.
            del os.environ[variable]
        else:
            raise ConfigurationError(
                f"{environment} and the variable {variable} name two different things",
                hint=f"unset {variable}, or choose no environment",
            )


def _value(ctx: click.Context, setting: Setting) -> str | None:
    try:
        return setting.get()
    except ConfigurationError as error:
        # check asks the database only to fix something; config shows what is missing.
        if ctx.params.get("fix") is False or ctx.info_name == "config":
            return None
        raise SettingsError(error) from error


environment_options = together(
    click.option(
        "--no-env-file",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_collect,
        help="Do not read .env.",
    ),
    click.option(
        "--env",
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        callback=_collect,
        envvar="TURNBACK_ENV",
        show_envvar=True,
        help="The environment of turnback.toml whose database is meant.",
    ),
)

directory = together(
    environment_options,
    click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        default=Path("migrations"),
        envvar="TURNBACK_DIR",
        show_default=True,
        show_envvar=True,
        is_eager=True,
        callback=_collect,
        help="Folder of the migrations.",
    ),
)


def _choose_embedded(ctx: click.Context, _: click.Parameter, embedded: bool) -> None:
    ctx.meta[_EMBEDDED] = embedded


def is_embedded_chosen() -> bool:
    """Whether the running command was called with ``--embedded``."""
    ctx = click.get_current_context(silent=True)
    return bool(ctx and ctx.meta.get(_EMBEDDED))


def _check_database_url(ctx: click.Context, param: click.Parameter, url: str | None) -> str | None:
    """Refuse an empty DATABASE_URL, which click takes for one that is not set."""
    if ctx.resilient_parsing:
        return url
    if url is not None:
        url = _direct(ctx, param, url)
    if url is not None and ctx.meta.get(_EMBEDDED):
        raise click.UsageError("--embedded and an address of a database exclude each other.", ctx)
    if url is None and os.environ.get("DATABASE_URL") == "" and not ctx.meta.get(_EMBEDDED):
        raise click.BadParameter(
            "it is empty; set it, or unset it to use the embedded Postgres",
            ctx,
            param,
            param_hint="DATABASE_URL",
        )
    return _check_address(ctx, param, url)


def _check_address(ctx: click.Context, param: click.Parameter, url: str | None) -> str | None:
    if url is None or ctx.resilient_parsing:
        return url
    from turnback.engine.session.connection import read_address
    from turnback.engine.session.prisma_address import translated

    try:
        found = translated(url)
        read_address(found.address)
    except ConfigurationError as error:
        error.message += _named_source(ctx, param)
        raise SettingsError(error) from error
    for remark in found.remarks:
        _remark(f"In the address{_named_source(ctx, param)} {remark}")
    return found.address


def _direct(ctx: click.Context, param: click.Parameter, url: str) -> str:
    """The address in DIRECT_URL, where Prisma keeps that of the server beside that of a pooler.

    Only where both come from the environment, or both from .env: one of them may be of another
    database otherwise.
    """
    settings: ProjectSettings | None = ctx.meta.get(_META)
    direct = os.environ.get("DIRECT_URL")
    if settings is None or not direct or direct == url:
        return url
    both = {name in settings.from_env_file for name in ("DATABASE_URL", "DIRECT_URL")}
    by_variable = ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT
    if not by_variable or len(both) > 1:
        return url
    _remark("DIRECT_URL is used, and not DATABASE_URL, which may be the address of a pooler")
    settings.direct = True
    return direct


def _remark(text: str) -> None:
    """Say something about the settings, before the command has its output."""
    if "--json" not in sys.argv:
        click.echo(text, err=True)


database_url = together(
    click.option(
        "--database-url",
        type=types.Given(),
        metavar="URL",
        envvar="DATABASE_URL",
        show_envvar=True,
        callback=_check_database_url,
        help="The database; the project's embedded Postgres if not given.",
    ),
    click.option(
        "--embedded",
        is_flag=True,
        # Known before the address is looked at.
        is_eager=True,
        expose_value=False,
        callback=_choose_embedded,
        help="Use the project's embedded Postgres, also in a CI job.",
    ),
)

database = together(
    database_url,
    click.option(
        "--history-schema",
        envvar="TURNBACK_HISTORY_SCHEMA",
        default="public",
        show_default=True,
        type=types.SchemaName(),
        help="Schema of the history tables.",
    ),
)

verbose = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=set_verbose,
    help="Print more: every migration of a long run, with an error what the server says of rows "
    "(never kept or published), and with --json the lines for people, on stderr.",
)

lock_options = together(
    click.option(
        "--lock-timeout",
        type=types.Duration(),
        show_default="2s",
        help="How long a statement may wait for a lock; other sessions queue behind it.",
    ),
    click.option(
        "--lock-retry-for",
        type=types.Duration(),
        default="1min",
        show_default=True,
        help="How long to retry when a lock is not available.",
    ),
    click.option(
        "--wait",
        type=types.Duration(),
        default="2min",
        show_default=True,
        help="How long to wait for another run, or a failover, to end.",
    ),
    verbose,
)

_ALLOW_CODE = "turnback.allow_code"


def _note_allowed(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_ALLOW_CODE] = value


allow_code = click.option(
    "--allow-code",
    is_flag=True,
    expose_value=False,
    callback=_note_allowed,
    help="Also run migrations in Python on a named database.",
)


def code_rule(url: str | None) -> CodeRule:
    """Whether migrations in Python may run on a database, by its address; None: the embedded."""
    if not url:
        return CodeRule.OWN
    allowed = click.get_current_context().meta.get(_ALLOW_CODE)
    return CodeRule.CLOSED if allowed else CodeRule.REFUSED


yes = click.option("--yes", is_flag=True, help="Do not ask.")

# For scripts that pass --yes to every command.
never_asks = click.option(
    "--yes", is_flag=True, expose_value=False, help="Do not ask (it never does)."
)

stack_name = click.option(
    "--stack",
    "stack",
    type=types.Given(),
    metavar="NAME",
    envvar="TURNBACK_STACK",
    default="turnback",
    show_default=True,
    show_envvar=True,
    help="The CloudFormation stack; its Region is AWS_REGION, or that of the AWS profile.",
)

# For commands without a folder of migrations: turnback.toml of the current folder.
stack = together(environment_options, stack_name)

shadow_url = click.option(
    "--shadow-url",
    type=types.Given(),
    metavar="URL",
    callback=_check_address,
    envvar="TURNBACK_SHADOW_URL",
    show_envvar=True,
    help="A server to make the shadow database on; a temporary embedded Postgres if not given.",
)
