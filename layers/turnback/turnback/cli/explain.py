"""``explain``: the page of a rule of lint, or what an error says; and their addresses."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from turnback import __version__, errors
from turnback.cli import options as opt
from turnback.cli.output import Output, echo, is_terminal, reported
from turnback.errors import ConfigurationError, TurnbackError
from turnback.sql.lint.model import RULES, Rule, known

# In a wheel beside this module; in a checkout where they are written.
_PAGES = (Path(__file__).parent, Path(__file__).parents[4] / "docs")
_ERRORS_PAGE = "docs/trouble.md#"
_SOURCE = "Project-URL: Source, "
_LINK = re.compile(r"\]\((?![a-z]+:)([\w/.-]*)(#[\w-]+)?\)")


class Topic(click.ParamType[str]):
    """A rule, by its id or name, or an error."""

    name = "topic"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The ids of the rules, and the names of the errors."""
        titles = {rule.id: rule.title for rule in RULES.values()}
        titles |= {name: _meaning(error) for name, error in _errors().items()}
        wanted = incomplete.lower()
        return [
            CompletionItem(topic, help=title)
            for topic, title in titles.items()
            if topic.lower().startswith(wanted)
        ]


@click.command(epilog="Example: turnback explain TB106")
@click.argument("topic", required=False, type=Topic())
@opt.as_json
@reported
def explain(*, topic: str | None, out: Output) -> None:
    """Print the page of a rule of lint, or what an error means and what to do.

    TOPIC is the id or the name of a rule, such as TB106 or type-change-rewrites, or the name of
    an error, such as RollbackMissing. Without one, the rules are listed. In a pipe, the page is
    printed as the Markdown that it is.
    """
    out.document["status"] = "succeeded"
    if topic is None:
        out.document["rules"] = [_about(one) for one in RULES.values()]
        for one in RULES.values():
            out.result(f"{one.id}  {one.level:<8} {one.name:<27} {one.title}")
        out.note("A page: turnback explain TB106")
        return
    if rule := known(topic):
        out.document |= _about(rule) | {"markdown": _page(rule)}
        _show(_page(rule), rule.page, out)
        return
    error = next((e for name, e in _errors().items() if name.lower() == topic.lower()), None)
    if error is None:
        names = {name.lower(): name for name in (*RULES, *_errors())}
        names |= {rule.name: rule.name for rule in RULES.values()}
        near = difflib.get_close_matches(topic.lower(), names, n=1)
        raise ConfigurationError(
            f"there is no rule and no error {topic}",
            hint=(f"did you mean {names[near[0]]}? " if near else "")
            + "turnback explain lists the rules",
        )
    page = _page_of(error)
    text = f"# {error.__name__}\n\n{_meaning(error)}\n\n"
    text += f"{_advice(error)}\n\nExit code: {error.exit_code} · {address(page)}\n"
    out.document |= {
        "name": error.__name__,
        "title": _meaning(error),
        "exit_code": error.exit_code,
        "url": address(page),
        "markdown": text,
    }
    _show(text, page, out)


def address(page: str) -> str:
    """The address of a page in the documentation of this version.

    Args:
        page: its path in the repository, ``docs/rules/TB106.md``; returned as it is where the
            package is not installed, so that its metadata is not there.
    """
    source = _source()
    return f"{source}/blob/v{__version__}/{page}" if source else page


def error_address(error: type[TurnbackError]) -> str:
    """The address of what the documentation says of an error."""
    return address(_page_of(error))


def _page_of(error: type[TurnbackError]) -> str:
    return f"{_ERRORS_PAGE}{error.__name__.lower()}"


@functools.cache
def _source() -> str | None:
    """The repository, as the links of the project in pyproject.toml name it."""
    # importlib.metadata reads it with the parser of e-mails, which takes 30 ms to import.
    for folder in sys.path:
        file = Path(folder, f"turnback-{__version__}.dist-info", "METADATA")
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            if line.startswith(_SOURCE):
                return line.removeprefix(_SOURCE)
    return None


def _errors() -> dict[str, type[TurnbackError]]:
    return {
        name: item
        for name, item in vars(errors).items()
        if inspect.isclass(item) and issubclass(item, TurnbackError) and item is not TurnbackError
    }


def _meaning(error: type[TurnbackError]) -> str:
    return (error.__doc__ or "").splitlines()[0]


def _about(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "name": rule.name,
        "level": str(rule.level),
        "title": rule.title,
        "waivable": rule.waivable,
        "page": rule.page,
        "url": address(rule.page),
    }


def _page(rule: Rule) -> str:
    return _read(f"rules/{rule.id}.md")


def _advice(error: type[TurnbackError]) -> str:
    """What the page on trouble says below the name of an error."""
    _, _, below = _read("trouble.md").partition(f"\n### {error.__name__}\n")
    return re.split(r"^##", below, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _read(page: str) -> str:
    folder = next(folder for folder in _PAGES if (folder / "rules").is_dir())
    return (folder / page).read_text(encoding="utf-8")


def _show(text: str, page: str, out: Output) -> None:
    """Print Markdown: for people on a terminal, as it is in a pipe and without rich."""
    if is_terminal(sys.stdout) and not out.as_json:
        try:
            from rich.console import Console
            from rich.markdown import Markdown
            from rich.theme import Theme
        except ModuleNotFoundError:
            # It comes with the extras.
            pass
        else:
            folder = page.rpartition("/")[0]
            text = _LINK.sub(lambda found: f"]({_resolved(folder, page, found)})", text)
            # No background: nobody knows that of the terminal.
            plain = Theme({"markdown.code": "bold cyan", "markdown.code_block": "cyan"})
            console = Console(width=min(Console().width, 100), highlight=False, theme=plain)
            with console.capture() as shown:
                console.print(Markdown(text, code_theme="ansi_dark"))
            for line in shown.get().rstrip("\n").splitlines():
                echo(line.rstrip())
            return
    out.result(text.rstrip("\n"))


def _resolved(folder: str, page: str, found: re.Match[str]) -> str:
    """The absolute address of a link in a page."""
    name, anchor = found[1], found[2] or ""
    return address((f"{folder}/{name}" if name else page) + anchor)
