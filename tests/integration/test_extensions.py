"""The extensions of a shadow server: the real ones, and stand-ins for what no build has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.errors import ConfigurationError
from turnback.local.contrib import fetch_contrib
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.rehearsal.extensions import FOLDER
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.server import shadow_server
from turnback.rehearsal.shadow import Shadow

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
    with shadow_server() as server, Shadow.on_throw_away(server).database() as url:
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
