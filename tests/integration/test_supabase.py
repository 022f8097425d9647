"""The migrations of a Supabase project: in place, on a look-alike of its server and without one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine.look.other_tools import histories
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.local.project_server import project_server
from turnback.recovery.dumps.schemas import dump_schemas
from turnback.recovery.endpoint import Endpoint
from turnback.schema.compare import compare
from turnback.schema.follow import FollowedSchema
from turnback.schema.platform import not_compared
from turnback.schema.read import fingerprint

from tests.integration.command_line import query, turnback
from tests.poolers import pgbouncer
from tests.supabase import Lookalike, lookalike

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "supabase"
PROFILES, AVATARS, CHAT = "20260901090000", "20260901100000", "20260901110000"


@pytest.fixture(scope="module")
def servers() -> Iterator[Lookalike]:
    with lookalike() as found:
        yield found


@pytest.fixture
def project(servers: Lookalike) -> Iterator[str]:
    """The address of a new project, as ``postgres``."""
    with servers.project() as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``supabase/migrations`` of a project that has adopted turnback."""
    place = tmp_path / "supabase"
    shutil.copytree(FIXTURE, place)
    (place / "turnback.toml").write_text(
        '[layout]\nname = "supabase"\n\n[history]\nschema = "turnback"\n'
    )
    return place / "migrations"


def dumped(url: str, *schemas: str) -> str:
    """What pg_dump writes of schemas, without its version and random words."""
    text = dump_schemas(Endpoint.from_url(url), schemas).partition("SET ")[2]
    return text.rpartition("\\unrestrict")[0]


def test_migrations_run_on_a_project_and_their_rollbacks_leave_nothing(
    project: str, servers: Lookalike, folder: Path
) -> None:
    # pg_dump is the judge, as the superuser, of all but what turnback keeps itself.
    platform = servers.as_platform(project)
    schemas = ("public", "auth", "storage", "realtime", "extensions", "vault")
    before = dumped(platform, *schemas)
    answer = turnback("rehearse", url=project, folder=folder)
    assert answer.code == 0, answer.out + answer.err
    answer = turnback("up", url=project, folder=folder)
    assert answer.code == 0, answer.out + answer.err
    assert dumped(platform, *schemas) != before
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO auth.users (id, raw_user_meta_data) "
            """VALUES (gen_random_uuid(), '{"username": "ada"}')"""
        )
        found = connection.execute("SELECT username FROM public.profiles").fetchall()
    assert found == [("ada",)]
    answer = turnback("down", "0", "--yes", url=project, folder=folder)
    assert answer.code == 0, answer.out + answer.err
    assert dumped(platform, *schemas) == before


def test_without_a_project_they_are_proven_and_make_the_same_in_the_embedded_database(
    project: str, folder: Path
) -> None:
    answer = turnback("rehearse", "--all", folder=folder)
    assert answer.code == 0, answer.out + answer.err
    assert "the roles and schemas of Supabase" in answer.err
    answer = turnback("up", folder=folder)
    assert answer.code == 0, answer.out + answer.err
    assert turnback("up", url=project, folder=folder).code == 0
    with project_server(folder.parent) as server:
        # pg_dump is the judge. The platform has default privileges of its own.
        here, there = (
            re.findall(r"^(?!--|ALTER DEFAULT).+$", dumped(url, "public"), re.MULTILINE)
            for url in (server.url(), project)
        )
        assert here == there
        assert query(server.url(), "SELECT jobname FROM cron.job") == [("daily-digest",)]


# What is forgotten, and as what it is reported. The trigger's function stays, and does nothing.
FORGOTTEN = {
    PROFILES: (
        "drop trigger on_auth_user_created on auth.users;\ndrop function public.handle_new_user();",
        "create or replace function public.handle_new_user() returns trigger language plpgsql "
        "as 'begin return new; end';",
        "trigger auth.users.on_auth_user_created",
    ),
    AVATARS: (
        'drop policy "Avatars are public" on storage.objects;',
        "",
        'policy storage.objects."Avatars are public"',
    ),
    CHAT: (
        'drop policy "Members listen" on realtime.messages;',
        "",
        'policy realtime.messages."Members listen"',
    ),
}


@pytest.mark.parametrize(
    "with_target",
    [pytest.param(True, marks=pytest.mark.slow), False],
    ids=["with the project", "without it"],
)
def test_a_rollback_that_forgets_what_it_made_on_the_platforms_tables_is_not_proven(
    project: str, folder: Path, with_target: bool
) -> None:
    for version, (forgotten, instead, _) in FORGOTTEN.items():
        [script] = (folder / "rollback").glob(f"{version}*")
        assert forgotten in script.read_text()
        script.write_text(script.read_text().replace(forgotten, instead))
    answer = turnback(
        "rehearse", "--all", "--json", url=project if with_target else None, folder=folder
    )
    assert answer.code == 3, answer.out
    found = {one["version"]: one["differences"] for one in answer.document["migrations"]}
    for version, (*_, left) in FORGOTTEN.items():
        assert left in str(found[version])


def test_down_on_a_project_names_a_policy_that_is_left_and_no_upgrade_of_the_platform(
    project: str, servers: Lookalike, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
    forgotten, *_, left = FORGOTTEN[AVATARS]
    [script] = (folder / "rollback").glob(f"{AVATARS}*")
    script.write_text(script.read_text().replace(forgotten, ""))
    assert turnback("up", url=project, folder=folder).code == 0
    with psycopg.connect(servers.as_platform(project)) as platform:
        platform.execute("ALTER TABLE auth.users ADD COLUMN passkeys int")
    # Of the last migration nothing is left.
    answer = turnback("down", "--yes", "--json", url=project, folder=folder)
    assert answer.code == 0, answer.out
    assert answer.document["schema"]["verdict"] == "exact"
    assert "Supabase's: auth" in str(answer.document["schema"]["notes"])
    answer = turnback("down", "--yes", "--json", url=project, folder=folder)
    assert answer.code == 6
    assert f"{left}: left over" in answer.document["error"]["message"]
    assert "passkeys" not in answer.out


def test_a_session_pooler_gives_a_rehearsal_the_schemas_of_the_platform(
    project: str, folder: Path
) -> None:
    with pgbouncer(project, "session") as pooled:
        answer = turnback("rehearse", "--all", "--json", url=pooled, folder=folder)
        assert answer.code == 0, answer.out
        assert "warnings" not in answer.document


def test_a_backup_of_a_project_is_refused_and_one_by_its_superuser_is_taken(
    project: str, servers: Lookalike, folder: Path
) -> None:
    answer = turnback("backup", "--json", url=project, folder=folder)
    assert answer.code == 5
    assert "only Supabase can restore" in answer.document["error"]["message"]
    assert not (folder.parent / ".turnback" / "snapshots").exists()
    answer = turnback("backup", url=servers.as_platform(project), folder=folder)
    assert answer.code == 0, answer.out


def test_of_a_project_only_what_migrations_make_in_the_platforms_schemas_is_compared(
    project: str, servers: Lookalike
) -> None:
    left_out = set[str]()
    with (
        psycopg.connect(servers.as_platform(project), autocommit=True) as platform,
        psycopg.connect(project, autocommit=True) as own,
        connect(project, application_name="test", options=Options()) as reader,
        connect(project, application_name="test", options=Options()) as session,
    ):
        followed = FollowedSchema(session)
        before = fingerprint(reader, left_out=left_out)
        assert followed.read().objects == before.objects
        # The platform upgrades itself.
        platform.execute(
            "ALTER TABLE auth.users ADD COLUMN passkeys int; CREATE TABLE auth.passkeys (a int);"
            "CREATE INDEX ON auth.passkeys (a);"
            "CREATE OR REPLACE FUNCTION auth.email() RETURNS text LANGUAGE sql AS 'SELECT NULL';"
            "CREATE TABLE realtime.messages_2026_11_30 PARTITION OF realtime.messages"
            "  FOR VALUES FROM ('2026-11-30') TO ('2026-12-01');"
            "CREATE TRIGGER more BEFORE DELETE ON storage.buckets"
            "  FOR EACH STATEMENT EXECUTE FUNCTION storage.protect_delete();"
        )
        assert fingerprint(reader).objects == before.objects
        assert followed.read().objects == before.objects
        # A migration.
        own.execute(
            "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';"
            "CREATE TRIGGER note AFTER INSERT ON auth.users"
            "  FOR EACH ROW EXECUTE FUNCTION public.note();"
            "CREATE POLICY seen ON storage.objects USING (true);"
            "COMMENT ON POLICY seen ON storage.objects IS 'of ours';"
        )
        after = fingerprint(reader)
        assert followed.read().objects == after.objects
    assert {one.object for one in compare(before, after)} == {
        "function public.note()",
        "trigger auth.users.note",
        "policy storage.objects.seen",
    }
    [sentence] = not_compared(left_out, 20)
    assert "Supabase's: auth, extensions, graphql, graphql_public, realtime, storage" in sentence


def test_the_histories_of_the_platforms_services_are_not_taken_for_ones_own(project: str) -> None:
    with psycopg.connect(project, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.schema_migrations (version varchar PRIMARY KEY)")
        columns = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 "
            "AND attrelid = 'auth.schema_migrations'::regclass"
        ).fetchall()
        assert columns == [("version",)]
        assert [str(one) for one in histories(connection)] == ["dbmate: public.schema_migrations"]


def test_in_a_database_of_ones_own_a_schema_auth_is_compared(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as own,
        connect(database, application_name="test", options=Options()) as reader,
    ):
        own.execute("CREATE SCHEMA auth; CREATE TABLE auth.users (id int)")
        assert "table auth.users" in fingerprint(reader).objects


def test_a_reset_makes_the_embedded_database_anew_with_all_migrations_and_the_seeds(
    project: str, folder: Path
) -> None:
    # The files and their order are those of [db.seed], as `supabase db reset` documents them.
    place = folder.parent
    (place / "seeds").mkdir()
    (place / "seeds" / "2_body.sql").write_text(
        "insert into public.messages (sender, body) select id, 'hello' from public.profiles;\n"
    )
    (place / "config.toml").write_text(
        'project_id = "demo"\n[db.seed]\nsql_paths = ["./seed.sql", "seeds/*.sql", "seed.sql"]\n'
    )
    named = turnback("db", "reset", "--yes", url=project, folder=folder)
    assert (named.code, query(project, "SELECT to_regclass('public.profiles')")) == (2, [(None,)])
    answer = turnback("db", "reset", "--yes", "--json", folder=folder)
    assert answer.code == 0, answer.err
    assert answer.document["seeds"] == ["seed.sql", "seeds/2_body.sql"]
    (place / "seeds" / "2_body.sql").write_text("select 1;\nselect nothing;\n")
    answer = turnback("db", "reset", "--yes", "--json", folder=folder)
    error = answer.document["error"]
    assert (answer.code, error["file"], error["line"]) == (2, "seeds/2_body.sql", 2)
    with project_server(place) as server:
        found = query(server.url(), "SELECT username FROM public.profiles")
    assert found == [("ada",)]
