"""The extensions of a shadow server: the real ones, and stand-ins for what no build has."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.errors import ConfigurationError
from turnback.local.contrib import fetch_contrib
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.extensions import FOLDER
from turnback.rehearsal.folder import MEMORY
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.server import shadow_server
from turnback.rehearsal.shadow import Shadow

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.other_servers import postgres

# They read or write files, pages and the log of the server; RDS has none of them.
REFUSED = {"file_fdw", "pageinspect", "pg_logicalinspect", "pg_surgery", "pg_walinspect"}
# Each gives the same on every server.
KNOWN = """
CREATE EXTENSION pgcrypto; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION sslinfo;
SELECT encode(digest('abc', kind), 'hex') FROM unnest('{md5,sha1,sha256,sha512}'::text[]) kind;
SELECT crypt('secret', '$2a$06$abcdefghijklmnopqrstuu'), crypt('secret', '$1$abcdefgh'),
    encode(hmac('text', 'key', 'sha256'), 'hex'), encode(encrypt('text', 'key', 'aes'), 'hex'),
    pgp_sym_decrypt(pgp_sym_encrypt('text', 'key'), 'key'), length(gen_random_bytes(40)),
    dearmor(armor('text'));
SELECT uuid_generate_v5(uuid_ns_dns(), name), uuid_generate_v3(uuid_ns_url(), name)
    FROM (SELECT repeat('aü', n) name FROM generate_series(0, 90, 9) n) names;
SELECT u::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[14][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
    FROM unnest(ARRAY[uuid_generate_v1(), uuid_generate_v1mc(), uuid_generate_v4()]) u;
SELECT ssl_is_used(), ssl_version(), ssl_client_cert_present(), ssl_client_dn();
"""
SIGNATURES = """
SELECT e.extname, p.oid::regprocedure::text, p.prorettype::regtype::text, p.proretset,
    p.provolatile, p.proisstrict
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname IN ('pgcrypto', 'uuid-ossp', 'sslinfo')
"""


@pytest.fixture(scope="module")
def shadow() -> Iterator[Shadow]:
    fetch_contrib(print)
    with (
        scratch("extensions") as folder,
        EmbeddedServer.start(folder / POSTGRES, fast=True, authentication=AUTHENTICATION) as found,
    ):
        yield Shadow.on_throw_away(found.url())


def answers(url: str) -> tuple[list[object], set[tuple[object, ...]]]:
    """What the known queries give, and the signatures of the functions."""
    found: list[object] = []
    with psycopg.connect(url, autocommit=True, sslmode="disable") as connection:
        for sql in KNOWN.split(";\n"):
            cursor = connection.execute(sql.encode())
            found += cursor.fetchall() if cursor.description else []
        return found, set(connection.execute(SIGNATURES.encode()).fetchall())


def test_pgcrypto_uuid_ossp_and_sslinfo_answer_as_those_of_debian(
    shadow: Shadow, postgres_layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the laptop and in the layer; the judge is PostgreSQL 15 with the original extensions."""
    with shadow.database() as url:
        found, signatures = answers(url)
    monkeypatch.syspath_prepend(str(postgres_layer))
    with shadow_server() as server, Shadow.on_throw_away(server.url()).database() as url:
        assert answers(url)[0][:4] == found[:4]
    with postgres(15) as base:
        expected, originals = answers(f"{base}/postgres")
    assert found == expected
    # The version for PostgreSQL 18 has one function more.
    assert {one for one in signatures if "fips_mode" not in str(one[1])} == originals


def test_every_extension_of_the_shadow_can_be_created(shadow: Shadow) -> None:
    with shadow.database() as url, psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT name, comment FROM pg_available_extensions").fetchall()
        assert {file.stem for file in FOLDER.glob("*.sql")} <= {name for name, _ in rows}
        for name, _ in rows:
            if name not in REFUSED:
                connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE'.encode())


def test_without_a_registry_the_download_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[str] = []
    with pytest.raises(ConfigurationError, match=r"pgcrypto cannot be downloaded: .*No matching"):
        fetch_contrib(said.append)
    assert "once" in said[0]
    assert not list((tmp_path / "turnback").iterdir())
    # Neither of the two ordinary clients.
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="neither pip nor uv"):
        fetch_contrib(said.append)


# One migration for each stand-in, as the manuals of the extensions write them.
USES = {
    "postgis": (
        "CREATE EXTENSION postgis VERSION '3.4.0'; CREATE TABLE places (id int,"
        "  at geometry(Point,4326) NOT NULL, area geography(MultiPolygonZ),"
        "  size float8 GENERATED ALWAYS AS (ST_Length(at)) STORED, CHECK (ST_IsValid(at)));"
        "CREATE INDEX places_at ON places USING gist (at);"
        "CREATE INDEX places_at_2 ON places USING spgist (at);"
        "CREATE INDEX ON places USING brin (at);"
        "INSERT INTO places SELECT n, ST_SetSRID(ST_MakePoint(n, n), 4326)"
        "  FROM generate_series(1, 2000) n;"
        "UPDATE places SET at = ST_Transform(ST_GeomFromText('POINT(1 2)', 3857), 4326)"
        "  WHERE at && ST_MakeEnvelope(1, 1, 2, 2, 4326) OR ST_DWithin(at, at, 5);"
        "SELECT AddGeometryColumn('places', 'way', 4326, 'LINESTRING', 2);"
        "ALTER EXTENSION postgis UPDATE TO '3.5.0';",
        "DROP TABLE places; DROP EXTENSION postgis;",
    ),
    "timescaledb": (
        "CREATE EXTENSION timescaledb; CREATE TABLE metrics (time timestamptz, value float8);"
        "SELECT create_hypertable('metrics', by_range('time'));"
        "SELECT add_retention_policy('metrics', drop_after => INTERVAL '30 days');"
        "CREATE VIEW hourly AS SELECT time_bucket('1 hour', time) AS hour, last(value, time)"
        "  FROM metrics GROUP BY 1;",
        "SELECT remove_retention_policy('metrics'); DROP VIEW hourly; DROP TABLE metrics;"
        "DROP EXTENSION timescaledb;",
    ),
    "pg_cron": (
        "CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM');"
        "SELECT cron.unschedule('nightly'); SELECT cron.schedule('5 * * * *', 'SELECT 1');",
        "DELETE FROM cron.job; DROP EXTENSION pg_cron;",
    ),
    "pg_partman": (
        "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman;"
        "CREATE TABLE events (at timestamptz NOT NULL) PARTITION BY RANGE (at);"
        "SELECT partman.create_parent(p_parent_table => 'public.events', p_control => 'at',"
        "  p_interval => '1 day'); CALL partman.run_maintenance_proc();",
        "DROP TABLE events; DROP TABLE partman.template_public_events; DROP EXTENSION pg_partman;"
        "DROP SCHEMA partman;",
    ),
    "aws_s3": (
        "CREATE EXTENSION aws_s3 CASCADE; SELECT * FROM aws_s3.query_export_to_s3('SELECT 1',"
        "  aws_commons.create_s3_uri('bucket', 'key', 'eu-west-1'), options := 'format csv');",
        "DROP EXTENSION aws_s3; DROP EXTENSION aws_commons;",
    ),
    "aws_lambda": (
        "CREATE EXTENSION aws_lambda CASCADE; SELECT * FROM aws_lambda.invoke("
        "  aws_commons.create_lambda_function_arn('name'), '{}'::json, 'Event');",
        "DROP EXTENSION aws_lambda;",
    ),
    "pgaudit": (
        "CREATE EXTENSION pgaudit; CREATE TABLE t ();",
        "DROP TABLE t; DROP EXTENSION pgaudit;",
    ),
    "pg_repack": ("CREATE EXTENSION pg_repack;", "DROP EXTENSION pg_repack;"),
    "pg_net": (
        "CREATE SCHEMA extensions; CREATE EXTENSION pg_net SCHEMA extensions;"
        "SELECT net.http_post('https://example.com', '{}'::jsonb, timeout_milliseconds := 1);",
        "DROP EXTENSION pg_net; DROP SCHEMA extensions;",
    ),
    "pg_graphql": (
        "CREATE SCHEMA graphql; CREATE EXTENSION pg_graphql SCHEMA graphql;"
        "SELECT graphql.resolve('{ __typename }', variables := '{}');",
        "DROP EXTENSION pg_graphql; DROP SCHEMA graphql;",
    ),
    "pg_jsonschema": (
        "CREATE EXTENSION pg_jsonschema; CREATE TABLE j (a json CHECK ("
        '  json_matches_schema(\'{"type": "object"}\', a)));',
        "DROP TABLE j; DROP EXTENSION pg_jsonschema;",
    ),
    "pgsodium": (
        "CREATE EXTENSION pgsodium; SELECT pgsodium.create_key(name := 'first');"
        "DELETE FROM pgsodium.key;",
        "DROP EXTENSION pgsodium; DROP SCHEMA pgsodium;",
    ),
    "supabase_vault": (
        "CREATE EXTENSION supabase_vault; SELECT vault.create_secret('s3cret', 'name');"
        "SELECT vault.update_secret(id, new_secret := 'other') FROM vault.decrypted_secrets;"
        "DELETE FROM vault.secrets;",
        "DROP EXTENSION supabase_vault; DROP SCHEMA vault;",
    ),
    "rds_tools": (
        "CREATE EXTENSION rds_tools; SELECT * FROM rds_tools.role_password_encryption_type();",
        "DROP EXTENSION rds_tools;",
    ),
    "xml2": (
        "CREATE EXTENSION xml2; CREATE TABLE x (a text CHECK (xml_valid(a)));"
        "INSERT INTO x VALUES ('<a/>');",
        "DROP TABLE x; DROP EXTENSION xml2;",
    ),
}


def test_migrations_that_use_an_extension_of_no_build_are_proven_with_its_stand_in(
    shadow: Shadow, project_factory: ProjectFactory
) -> None:
    files = {}
    for number, (forward, rollback) in enumerate(USES.values(), 1):
        files[f"sql/{number:04}_m.sql"] = forward
        files[f"rollback/{number:04}_rollback.sql"] = rollback
    project = load_project(project_factory(files))
    found = rehearse(project, project.migrations, shadow)
    assert [(one.rollback, one.error, one.rows) for one in found.migrations] == (
        [("exact", None, [])] * len(USES)
    )
    assert found.proven
    assert found.stand_ins == sorted(USES)


def test_the_modifier_of_a_geometry_is_compared_and_suggested(
    shadow: Shadow, project_factory: ProjectFactory
) -> None:
    project = load_project(
        project_factory(
            {
                "sql/0001_a.sql": "CREATE EXTENSION postgis;"
                "CREATE TABLE p (at geometry(Point,4326));",
                "rollback/0001_rollback.sql": "DROP TABLE p; DROP EXTENSION postgis;",
                "sql/0002_b.sql": "ALTER TABLE p ALTER COLUMN at TYPE geometry(PointZ,3857);",
                "rollback/0002_rollback.sql": "ALTER TABLE p ALTER COLUMN at "
                "TYPE geometry(PointZ,4326);",
            }
        )
    )
    found = rehearse(project, project.migrations, shadow).migrations[1]
    assert found.rollback == "differs"
    assert "geometry(Point,4326) ≠ public.geometry(PointZ,4326)" in str(found.differences[0])
    assert found.suggestions == [
        "ALTER TABLE public.p ALTER COLUMN at TYPE public.geometry(Point,4326) "
        "USING at::public.geometry(Point,4326);"
    ]


def test_the_command_names_a_stand_in_and_a_server_of_ones_own_has_none(
    server: EmbeddedServer, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, rollback = USES["pg_cron"]
    folder = project_factory({"sql/0001_a.sql": forward, "rollback/0001_rollback.sql": rollback})
    # Without a folder named for it the server is in memory, where there is room.
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    answer = turnback("rehearse", "--all", folder=folder)
    assert answer.code == 0
    has_memory = os.path.ismount(MEMORY) and shutil.disk_usage(MEMORY).free > 2 << 30
    assert (f"in memory ({MEMORY})" in answer.err) == has_memory
    assert "pg_cron: a stand-in; what it computes was not proven" in answer.out
    document = json.loads(turnback("rehearse", "--all", "--json", folder=folder).out)
    assert document["stand_ins"] == ["pg_cron"]
    refused = turnback("rehearse", "--all", "--shadow-url", server.url(), folder=folder)
    assert refused.code == 3
    assert 'extension "pg_cron" is not available' in refused.out
