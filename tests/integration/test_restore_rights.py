"""Rights during a restore: nobody reaches the new database who had no right to the old one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from turnback.recovery.dumps.server import read_properties
from turnback.recovery.dumps.successor import make_successor
from turnback.recovery.endpoint import Endpoint

from tests.dumps import RUN, Memory, dump

HOSTILE = 'x"; GRANT ALL ON DATABASE postgres TO PUBLIC; --{name}'


class Watched:
    """A session that keeps what it executed."""

    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self.session, self.executed = session, list[str]()

    def execute(self, text: Any, *more: Any) -> Any:
        self.executed.append(text.decode() if isinstance(text, bytes) else text)
        return self.session.execute(text, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


class Nothing:
    """Fills a database with nothing."""

    def rows(self) -> list[str]:
        return []

    def rest(self) -> list[str]:
        return []

    def finish(self) -> list[str]:
        return []


def test_the_new_database_lets_nobody_in_before_it_has_the_grants_of_the_old_one(
    database: str, admin: psycopg.Connection[Any]
) -> None:
    name, quoted = database.rsplit("/", 1)[1], HOSTILE.replace('"', '""')
    admin.execute(f'CREATE ROLE r_stranger; CREATE ROLE "{quoted}"'.encode())
    admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC".encode())
    admin.execute(f'GRANT CONNECT ON DATABASE {name} TO "{quoted}"'.encode())
    admin.execute(f"ALTER ROLE \"{quoted}\" IN DATABASE {name} SET work_mem TO '8MB'".encode())
    record = dump(database, Memory())
    into = replace(Endpoint.from_url(database), name=f"{name}_{HOSTILE[:20]}")
    before = admin.execute("SELECT datacl FROM pg_database WHERE datname = 'postgres'").fetchone()
    session = Watched(admin)

    def may(role: str) -> bool:
        row = admin.execute(
            "SELECT has_database_privilege(%s, %s, 'CONNECT')", [role, into.name]
        ).fetchone()
        return bool(row and row[0])

    try:
        make_successor(
            session,  # type: ignore[arg-type]
            into,
            read_properties(admin, name),
            record,
            RUN,
            Nothing(),  # type: ignore[arg-type]
        )
        [opened] = [n for n, text in enumerate(session.executed) if "CONNECTIONS true" in text]
        grants = [n for n, text in enumerate(session.executed) if text[:6] in ("REVOKE", "GRANT ")]
        assert grants and max(grants) < opened
        assert (may("r_stranger"), may(HOSTILE)) == (False, True)
        after = admin.execute("SELECT datacl FROM pg_database WHERE datname = 'postgres'")
        assert after.fetchone() == before
    finally:
        made = into.name.replace('"', '""')
        admin.execute(f'DROP DATABASE IF EXISTS "{made}" WITH (FORCE)'.encode())
        admin.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC".encode())
        admin.execute(
            f'DROP OWNED BY "{quoted}"; DROP ROLE "{quoted}"; DROP ROLE r_stranger'.encode()
        )
