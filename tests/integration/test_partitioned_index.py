"""Statements on partitioned tables that need to run alone; judged by pg_dump of the plain ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.errors import DatabaseUnreachable, MigrationIncomplete
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.dumps import pg_dump_schema
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.integration.test_engine import apply, engine_for, query

TABLES = """
CREATE TABLE p (id int, d int, note text) PARTITION BY RANGE (d);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY LIST (d);
CREATE TABLE "P 2a" PARTITION OF p_2 FOR VALUES IN (11);
CREATE TABLE p_2b PARTITION OF p_2 DEFAULT;
INSERT INTO p SELECT n, n, 'x' FROM generate_series(0, 19) n;
"""
INDEX = (
    "INDEX{} p_id ON p USING btree (id, lower(note)) INCLUDE (d) WITH (fillfactor = 70) "
    "WHERE id > 2"
)
UNIQUE = "UNIQUE INDEX{} p_id ON p (id, d)"
UNNAMED = "INDEX{} ON p (note)"


def project(factory: ProjectFactory, sql: str, back: str = "DROP INDEX p_id;") -> Path:
    return factory(
        {
            "sql/0001_p.sql": TABLES,
            "rollback/0001_rollback.sql": "DROP TABLE p;",
            "sql/0002_i.sql": sql,
            "rollback/0002_rollback.sql": back,
        }
    )


def down(url: str, folder: Path, target: str = "0001") -> None:
    with engine_for(url) as engine:
        report = engine.run(engine.plan_down(load_project(folder), target=target))
    assert report.error is None


@pytest.mark.parametrize("index", [INDEX, UNIQUE, UNNAMED], ids=["parts", "unique", "unnamed"])
@pytest.mark.parametrize("back", ["DROP INDEX p_id;", "DROP INDEX CONCURRENTLY p_id;"])
def test_an_index_built_by_partition_is_that_of_one_statement(
    database: str, project_factory: ProjectFactory, index: str, back: str
) -> None:
    back = back.replace("p_id", "p_note_idx") if index == UNNAMED else back
    folder = project(project_factory, f"CREATE {index.format('')};", back)
    assert apply(database, folder).error is None
    plain = pg_dump_schema(database)
    down(database, folder)
    before = pg_dump_schema(database)
    (folder / "sql/0002_i.sql").write_text(f"CREATE {index.format(' CONCURRENTLY')};")
    assert apply(database, folder).error is None
    assert pg_dump_schema(database) == plain
    assert before != plain
    down(database, folder)
    assert pg_dump_schema(database) == before


@pytest.mark.parametrize(
    ("index", "name", "every"),
    [
        (INDEX, "p_id", 9),
        pytest.param(INDEX, "p_id", 1, marks=pytest.mark.slow),
        pytest.param(UNNAMED, "p_note_idx", 1, marks=pytest.mark.slow),
    ],
)
def test_a_build_that_was_cut_off_at_any_step_is_continued_or_rolled_back(
    server: EmbeddedServer,
    database: str,
    project_factory: ProjectFactory,
    index: str,
    name: str,
    every: int,
) -> None:
    folder = project(project_factory, f"CREATE {index.format('')};", f"DROP INDEX {name};")
    assert apply(database, folder).error is None
    plain = pg_dump_schema(database)
    down(database, folder)
    before = pg_dump_schema(database)
    (folder / "sql/0002_i.sql").write_text(f"CREATE {index.format(' CONCURRENTLY')};")
    name = database.rpartition("/")[2].partition("?")[0]
    with Proxy(server.url()) as proxy:
        assert apply(proxy.url(name), folder).error is None
        proxy.arm()
        down(database, folder)
        assert apply(proxy.url(name), folder).error is None
        steps = len(proxy.seen)
        down(database, folder)
        for number in range(8, steps, every):
            proxy.arm(Fault(number, When.AFTER, Link.cut))
            report = apply(proxy.url(name), folder)
            assert isinstance(report.error, DatabaseUnreachable)
            if number % 2:
                assert apply(database, folder, runner_wait_s=10).error is None
                assert pg_dump_schema(database) == plain
            down(database, folder)
            assert pg_dump_schema(database) == before


def test_a_build_that_fails_on_one_partition_continues_there(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project(project_factory, "CREATE UNIQUE INDEX CONCURRENTLY p_id ON p (note, d);")
    (folder / "sql/0001_p.sql").write_text(f"{TABLES} INSERT INTO p VALUES (1, 15, 'x');")
    error = apply(database, folder).error
    assert isinstance(error, MigrationIncomplete)
    assert (error.sqlstate, error.line) == ("23505", 1)
    invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
    assert query(database, invalid) == [("p_2_note_d_idx",), ("p_id",)]
    query(database, "DELETE FROM p WHERE id = 1 AND d = 15")
    assert apply(database, folder).error is None
    assert query(database, invalid) == []
    down(database, folder)
    assert query(database, "SELECT count(*) FROM pg_index WHERE indrelid = 'p_1'::regclass") == [
        (0,)
    ]


@pytest.mark.parametrize(
    "sql", ["REINDEX TABLE p", "REINDEX INDEX p_pkey", "CLUSTER p USING p_pkey"]
)
def test_what_needs_to_run_alone_on_a_partitioned_table_does_so_by_the_directive(
    database: str, project_factory: ProjectFactory, sql: str
) -> None:
    folder = project(
        project_factory,
        f"-- turnback: no-transaction\nALTER TABLE p ADD PRIMARY KEY (id, d);\n{sql};\nSELECT 1;\n",
        "ALTER TABLE p DROP CONSTRAINT p_pkey;",
    )
    assert apply(database, folder).error is None
    down(database, folder)
