"""A database, and a local AWS that can reach it: what a test deploys the template on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from turnback.local.aws import LocalAws, local_aws_python
from turnback.local.database import Database, make_database
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class LocalTarget:
    """The database ``learning``, and a local AWS.

    Attributes:
        folder: for whatever the test writes.
        parameters: those of the template that name the database.
    """

    folder: Path
    server: EmbeddedServer
    database: Database
    aws: LocalAws
    parameters: dict[str, str]


@contextmanager
def local_target(name: str) -> Iterator[LocalTarget]:
    """Both, for a ``with`` block."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch(name))
        server = stack.enter_context(EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True))
        database = make_database(server, "learning")
        aws = stack.enter_context(LocalAws.start(local_aws_python(ROOT, print), folder))
        secret = aws.client("secretsmanager").create_secret(
            Name="database", SecretString=database.as_secret()
        )
        parameters = {
            "Target": "learning",
            "DatabaseSecretArn": secret["ARN"],
            "DatabaseTls": "disable",
        }
        yield LocalTarget(folder, server, database, aws, parameters)
