"""The documentation holds together: links, addresses in messages, errors, pages that have moved."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from turnback import errors
from turnback.errors import TurnbackError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "tests/faults/*.md")
    for page in ROOT.glob(pattern)
)
# What versions before this layout print, as address of a page.
OLD = (
    "docs/deploy.md",
    "docs/emergency.md",
    "docs/first-deploy.md",
    "docs/guide.md",
    "docs/pipeline.md",
    "docs/reference/state-machine.md#errors",
    "docs/rehearsal.md",
    "docs/restore-rds.md",
)
SOURCES = ("layers", "functions", "statemachine", "pipeline", "migrations", "events")
NAMED = re.compile(r"(?<![\w/.-])docs/[\w/-]+\.md(?:#[\w-]*)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def text_of(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```$", "", (ROOT / page).read_text(), flags=re.M | re.S)


@cache
def anchors(page: str) -> frozenset[str]:
    """Where a link into a page may lead: by GitHub's rule for headings, and marks of our own."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    found = [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain]
    assert len(found) == len(set(found)), f"{page}: two headings with one anchor: {sorted(found)}"
    return frozenset(found) | set(re.findall(r'<a id="([\w-]+)">', text_of(page)))


def leads_nowhere(address: str) -> bool:
    """Whether an address, seen from the repository, leads nowhere."""
    path, _, anchor = address.partition("#")
    if not (ROOT / path).exists():
        return True
    return bool(anchor) and anchor not in anchors(path)


def links(page: str) -> list[str]:
    """The addresses that a page links to, seen from the repository."""
    folder = (ROOT / page).parent
    found = []
    for link in LINK.findall(text_of(page)):
        if not re.match(r"[a-z]+:", link):
            path, mark, anchor = link.partition("#")
            target = (folder / path).resolve() if path else ROOT / page
            found.append(target.relative_to(ROOT).as_posix() + mark + anchor)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page_and_a_heading(page: str) -> None:
    assert [link for link in links(page) if leads_nowhere(link)] == []


def test_every_page_of_the_documentation_that_a_source_names_is_there_with_its_heading() -> None:
    files = [
        file
        for folder in SOURCES
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".sql", ".json", ".md", ".yaml", ".in"}
    ]
    files += [
        ROOT / name
        for name in (
            "action.yml",
            "Containerfile",
            "network.yaml",
            "pyproject.toml",
            "samconfig.toml",
            "template.yaml",
            ".pre-commit-hooks.yaml",
        )
    ]
    named = {address for file in files for address in NAMED.findall(file.read_text())}
    assert len(named) > 15
    assert [address for address in sorted(named) if leads_nowhere(address)] == []


def test_what_a_message_names_has_the_heading_to_look_under() -> None:
    """A page is long; docs/rules has one page a rule."""
    named = {
        address
        for file in (ROOT / "layers").rglob("*.py")
        for line in re.findall(r"""^.*["'].*docs/.*$""", file.read_text(), re.MULTILINE)
        if not line.lstrip().startswith(("#", '"""'))
        for address in NAMED.findall(line.replace('"""', ""))
        if not address.startswith("docs/rules/")
    }
    assert len(named) > 5
    assert [address for address in sorted(named) if "#" not in address] == []


def test_every_error_is_explained_under_its_name_and_exit_code() -> None:
    found: dict[str, int] = {}
    code = -1
    for level, heading in re.findall(r"^(##+) (.+)$", text_of("docs/trouble.md"), re.MULTILINE):
        if level == "##":
            begin = re.match(r"Exit code (\d)", heading)
            code = int(begin[1]) if begin else -1
        elif code > 0:
            found[heading] = code
    public = {
        name: item.exit_code
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, TurnbackError) and item is not TurnbackError
    }
    assert found == public


@pytest.mark.parametrize("address", OLD)
def test_an_address_of_an_older_version_leads_on(address: str) -> None:
    page, _, anchor = address.partition("#")
    assert not leads_nowhere(address)
    assert "This page has moved" in text_of(page)
    assert links(page)
    assert not anchor or re.search(rf'<a id="{anchor}"></a>\[[^\]]+\]\(', text_of(page))


def test_every_page_is_linked_from_another_and_those_that_have_moved_from_none() -> None:
    linked = {link.partition("#")[0] for page in PAGES for link in links(page)}
    old = {address.partition("#")[0] for address in OLD}
    assert linked & old == set()
    assert set(PAGES) - linked - old - {"README.md", "SECURITY.md"} == set()
