"""How Prisma is found and called; what it answers is in tests/integration/test_from_prisma.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.errors import ConfigurationError
from turnback.local.prisma import Prisma, candidates

# Prints how it was called: the options that it has are those of the version in the name.
PROGRAM = """\
#!/bin/sh
case "$3" in --help) echo "{help}"; exit;; esac
for one; do
  echo "$one"
  case "$one" in *=*) test -f "${{one#*=}}" && cat "${{one#*=}}";; esac
done
echo "$TURNBACK_SHADOW_URL"
"""
SIX, SEVEN = "--from-schema-datasource", "--from-config-datasource"
SOCKET = "user=postgres dbname=shadow host='/run/p g' port=5555"


def prisma(folder: Path, options: str, schema: str = "", **files: str) -> Prisma:
    program = folder / "node_modules" / ".bin" / "prisma"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(help=options))
    program.chmod(0o755)
    inner = folder / "packages" / "shop"
    (inner / "prisma").mkdir(parents=True)
    (inner / "package.json").write_text("{}")
    for name, text in files.items():
        (inner / name.replace("_", ".")).write_text(text)
    path = inner / "prisma" / "schema.prisma"
    path.write_text(schema)
    return Prisma.find(path)


def test_it_is_found_above_the_schema_and_runs_beside_package_json(tmp_path: Path) -> None:
    found = prisma(tmp_path, SIX)
    assert found.command == (str(tmp_path / "node_modules" / ".bin" / "prisma"),)
    assert found.folder == tmp_path / "packages" / "shop"


def test_prisma_6_gets_the_shadow_in_a_datasource_of_its_own(tmp_path: Path) -> None:
    found = prisma(tmp_path, SIX, 'datasource db {\n  schemas = ["public", "shop"]\n}\n')
    assert found.qualified
    said = found.forward(SOCKET)
    assert 'url = env("TURNBACK_SHADOW_URL")\n  schemas = ["public", "shop"]' in said
    assert said.index("--from-schema-datasource=") < said.index("--to-schema-datamodel=")
    assert "--config" not in said
    assert said.endswith("postgresql://postgres@localhost:5555/shadow?host=%2Frun%2Fp%20g\n")
    assert "--to-schema-datasource=" in found.back(SOCKET)


def test_a_configuration_of_the_team_is_used_but_for_its_address(tmp_path: Path) -> None:
    found = prisma(tmp_path, SEVEN, prisma_config_ts="export default {}")
    said = found.forward("postgresql://me:a%2Fb@db.test:6000/shadow?sslmode=require")
    assert "--from-config-datasource\n--to-schema=" in said
    team = tmp_path / "packages" / "shop" / "prisma.config.ts"
    assert f'import team from "{team.as_posix()}";' in said
    assert "datasource: { url: process.env.TURNBACK_SHADOW_URL }" in said
    assert said.endswith("postgresql://me:a%2Fb@db.test:6000/shadow?sslmode=require\n")


def test_a_password_is_not_repeated_from_what_prisma_says(tmp_path: Path) -> None:
    found = prisma(tmp_path, SIX)
    Path(found.command[0]).write_text('#!/bin/sh\necho "no server at $DATABASE_URL" >&2\nexit 1\n')
    found.__dict__["_help"] = SIX
    with pytest.raises(ConfigurationError, match="no server at the shadow database") as refused:
        found.forward("postgresql://me:secret@db.test/shadow")
    assert "secret" not in str(refused.value)


def test_an_engine_that_prints_nothing_is_not_taken_for_no_difference(tmp_path: Path) -> None:
    """Where nothing differs, Prisma prints that the migration is empty."""
    found = prisma(tmp_path, SIX)
    (tmp_path / "node_modules/.bin/prisma").write_text(
        f'#!/bin/sh\n[ "$3" = --help ] && echo {SIX}\n:'
    )
    with pytest.raises(ConfigurationError, match="has printed nothing"):
        found.forward(SOCKET)


def test_the_schema_is_looked_for_beside_the_migrations_first() -> None:
    [first, second, *_] = map(str, candidates(Path("db/prisma/migrations")))
    assert (first, second) == ("db/prisma/schema.prisma", "db/prisma/schema")
    [_, beside, folder, *rest] = map(str, candidates(Path("db/migrations")))
    assert (beside, folder) == ("db/prisma/schema.prisma", "db/prisma/schema")
    assert rest == ["prisma/schema.prisma", "prisma/schema", "schema.prisma"]
