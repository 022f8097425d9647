"""The documentation as a site, from the Markdown as it is: `make site` builds it."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = "turnback"
copyright = "the authors of turnback, Apache-2.0"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/*.md", "docs/**/*.md", "bench/README.md", "tests/faults/README.md"),
]
# They have no pages, and thousands of files.
exclude_patterns = [".*", "build", "dist", "layers", "functions", "tests/fixtures"]
html_theme = "furo"
html_title = "turnback"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
# As GitHub makes them, so that a link leads to the same heading here and there.
myst_heading_anchors = 4
# The <img> of the README, which has a width.
myst_enable_extensions = ["html_image"]
# Examples in JSON leave things out with …, which is no JSON.
suppress_warnings = ["misc.highlighting_failure"]

# The order in which somebody reads the pages. What is not named comes after them, under MORE.
SECTIONS = {
    "Use it": "start adopt write prove ci backup",
    "On AWS": "aws release people trouble",
    "Reference": "reference/cli reference/json reference/config reference/database reference/aws "
    "rules/README",
}
MORE = "More"
CONTRIBUTE = [
    *("CHANGELOG", "CONTRIBUTING", "docs/architecture", "docs/decisions/README"),
    *("bench/README", "tests/faults/README"),
]
# Folders whose pages are below that of the folder.
FOLDERS = ("docs/rules", "docs/decisions")


def _moved(page: Path) -> bool:
    return "This page has moved" in page.read_text()[:200]


def _toctrees() -> str:
    """The pages in their sections: the sidebar, of which the README says nothing."""
    parts = {title: [f"docs/{name}" for name in names.split()] for title, names in SECTIONS.items()}
    named = {root_doc, *CONTRIBUTE, *(page for pages in parts.values() for page in pages)}
    every = {
        page.relative_to(ROOT).with_suffix("").as_posix()
        for pattern in include_patterns
        for page in ROOT.glob(pattern)
        if not _moved(page)
    }
    rest = sorted(page for page in every - named if not page.startswith(FOLDERS))
    return "\n\n".join(
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in (parts | {MORE: rest, "Contribute": CONTRIBUTE}).items()
    )


def _read(app: Sphinx, docname: str, source: list[str]) -> None:  # noqa: ARG001
    if docname == root_doc:
        source[0] += f"\n\n{_toctrees()}\n"
    elif docname.removesuffix("/README") in FOLDERS:
        source[0] += "\n\n```{toctree}\n:hidden:\n:glob:\n\n[0-9T]*\n```\n"
    elif _moved(ROOT / f"{docname}.md"):
        source[0] = f"---\norphan: true\n---\n{source[0]}"


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
