"""A server that is set up like one of Supabase, as far as its public init scripts say.

``supabase_admin`` is the superuser. ``postgres`` runs the migrations and is not one; it owns the
database and what is made in ``public``. The schemas of the platform belong to ``supabase_admin``,
their tables to the roles of the services. Event triggers of the platform run on each statement.

What is otherwise than there: the extension supautils lets ``postgres`` make policies, and drop
triggers, on tables of others. Here it is a member of the roles that own them, as it was in projects
before 2025.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote

import psycopg
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer

PASSWORD = "of the project: 4%/@"
_TEMPLATE = "project"
_OWNERS = {
    "auth": "supabase_auth_admin",
    "storage": "supabase_storage_admin",
    "realtime": "supabase_realtime_admin",
}
_RIGHTS = """
GRANT ALL ON ALL TABLES IN SCHEMA auth, storage, realtime TO postgres;
GRANT ALL ON ALL SEQUENCES IN SCHEMA auth TO postgres;
GRANT USAGE ON SCHEMA auth, storage, realtime, vault, graphql, graphql_public TO postgres;
GRANT USAGE ON SCHEMA supabase_functions TO postgres;
ALTER SCHEMA extensions OWNER TO postgres;
ALTER PUBLICATION supabase_realtime OWNER TO postgres;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
CREATE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql
    AS $$ BEGIN NOTIFY pgrst, 'reload schema'; END $$;
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end
    EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE TABLE auth.schema_migrations (version varchar(255) PRIMARY KEY);
INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'somebody@example.com');
"""
_ROLES = """
ALTER ROLE postgres RENAME TO supabase_admin;
CREATE ROLE postgres LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
GRANT pg_monitor, pg_read_all_data, pg_signal_backend TO postgres WITH ADMIN OPTION;
ALTER ROLE postgres SET search_path = "$user", public, extensions;
"""


@dataclass(slots=True)
class Lookalike:
    """Such a server.

    Attributes:
        admin: a session of ``supabase_admin``, in autocommit, in another database.
        place: host and port.
    """

    admin: psycopg.Connection
    place: str

    @contextmanager
    def project(self) -> Iterator[str]:
        """The address of a new project, for ``postgres``."""
        name = f"project_{next(_numbers)}"
        how = f"TEMPLATE {_TEMPLATE} OWNER postgres STRATEGY file_copy"
        self.admin.execute(f"CREATE DATABASE {name} {how}".encode())
        yield f"postgresql://postgres:{quote(PASSWORD, safe='')}@{self.place}/{name}"
        self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def as_platform(self, url: str) -> str:
        """The address of the same database for ``supabase_admin``."""
        return url.replace(
            f"postgres:{quote(PASSWORD, safe='')}@",
            f"supabase_admin:{quote(self.admin.info.password, safe='')}@",
        )


_numbers = itertools.count(1)


@contextmanager
def lookalike() -> Iterator[Lookalike]:
    """The server, on TCP, for the block."""
    made = resources.files("turnback.rehearsal").joinpath("platforms", "supabase.sql")
    with (
        scratch("supabase") as folder,
        EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True, platform=True) as server,
    ):
        with psycopg.connect(server.socket_url(), autocommit=True) as first:
            first.execute("CREATE ROLE supa_begin SUPERUSER LOGIN")
        with psycopg.connect(server.socket_url().replace("postgres@", "supa_begin@", 1)) as second:
            second.execute(_ROLES.encode())
            second.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'".encode())
        place = f"127.0.0.1:{server.port}"
        admin_url = server.url().replace("//postgres:", "//supabase_admin:")
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("DROP ROLE supa_begin")
            admin.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
            template = admin_url.replace(f"{place}/postgres", f"{place}/{_TEMPLATE}")
            with psycopg.connect(template, autocommit=True) as connection:
                connection.execute(made.read_bytes())
                for schema, owner in _OWNERS.items():
                    connection.execute(_belongs_to(schema, owner).encode())
                connection.execute(_RIGHTS.encode())
            roles = ", ".join(("anon", "authenticated", "service_role", *_OWNERS.values()))
            admin.execute(f"GRANT {roles} TO postgres WITH ADMIN OPTION".encode())
            yield Lookalike(admin, place)


def _belongs_to(schema: str, owner: str) -> str:
    """SQL that gives all in a schema to a role; the schema itself stays with the superuser."""
    return f"""
DO $$
DECLARE
    one record;
BEGIN
    GRANT ALL ON SCHEMA {schema} TO {owner};
    FOR one IN SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {owner}', one.name);
    END LOOP;
    FOR one IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = '{schema}'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO {owner}', one.name);
    END LOOP;
END $$
"""
