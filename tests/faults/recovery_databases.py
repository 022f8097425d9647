"""Databases with releases already applied, for the faults of rollbacks and restores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import psycopg
from turnback.engine import Engine, RunContext
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory

ROWS = """
    INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 50) n;
    INSERT INTO nodes SELECT n FROM generate_series(1, 50) n;
"""
_numbers = itertools.count(1)


class Databases:
    """Copies of databases in which releases stand already."""

    def __init__(self, server: EmbeddedServer, projects: ProjectFactory) -> None:
        self._server, self._projects = server, projects
        self._made: list[str] = []

    def like(self, before: tuple[Mapping[str, str], ...]) -> str:
        """The URL of a database where these releases stand, with rows."""
        base = f"recovery_{len(before)}"
        if base not in self._made:
            self._admin(f"CREATE DATABASE {base}")
            self._made.append(base)
            for number, files in enumerate(before):
                self._release(self._server.url(base), f"1.{number}.0", self._projects(files))
                if number == 0:
                    with psycopg.connect(self._server.url(base), autocommit=True) as connection:
                        connection.execute(ROWS.encode())
        name = f"way_{next(_numbers)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {base} STRATEGY file_copy")
        self._made.append(name)
        return self._server.url(name)

    def drop(self) -> None:
        """All of them, and what restores kept of them."""
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            names = connection.execute("SELECT datname FROM pg_database").fetchall()
            for (name,) in names:
                if name.startswith("way_"):
                    connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    @staticmethod
    def _release(url: str, release: str, folder: Path) -> None:
        context = RunContext(run=f"r-{release}", release=release, actor="a test")
        with Engine(url, context=context) as engine:
            report = engine.run(engine.plan_up(load_project(folder)))
            assert report.error is None, report.error
