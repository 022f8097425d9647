"""Where a database is and how to get in, in the forms that libpq's programs take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from turnback.errors import ConfigurationError, DatabaseRefused

if TYPE_CHECKING:
    from turnback.engine.session.connection import Connection
    from turnback.recovery.model import Place
    from turnback.settings import DatabaseSettings


T = TypeVar("T")
# The server refuses who logs in: a wrong password, or a token that has expired (IAM).
LOGIN_REFUSED = ("28P01", "28000")
# A rotation changes the password first, and the secret some seconds later (Secrets Manager User
# Guide, "Rotation functions"): so long a refused login is asked for anew, in seconds.
LOGIN_PAUSES_S = (0.5, 2.0, 4.0, 8.0)
_BY_LOGIN = "asked for by each connection"
# The parameters of the stack for what a secret need not have.
_PARAMETERS = {"host": "DatabaseHost", "dbname": "DatabaseName"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A database to connect to. The password is in no ``repr``.

    Attributes:
        login: gives user and password anew for a place; None where they are fixed. A token of IAM
            is good for 15 minutes, and a secret is rotated: each new connection asks for them.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str
    tls: str
    root_certificates: str
    login: Callable[[Endpoint], tuple[str, str]] | None = field(
        default=None, repr=False, compare=False
    )

    @classmethod
    def from_secret(
        cls, secret: Mapping[str, Any], instead: Mapping[str, Any], tls: str, certificates: str
    ) -> Endpoint:
        """The database of a secret in the form of RDS.

        Args:
            secret: its fields: host, port, username, password, dbname.
            instead: the same fields, for those the secret does not have.
            tls: libpq's sslmode.
            certificates: path of the certificate authorities to trust.

        Raises:
            ConfigurationError: a field is missing, or the port is not a number.
        """

        def needed(name: str) -> str:
            value = secret.get(name) or instead.get(name)
            if not value:
                parameter = _PARAMETERS.get(name)
                raise ConfigurationError(
                    f"the database's secret has no {name!r}",
                    hint=f"set the stack's parameter {parameter}: a secret that RDS manages has "
                    "only user and password"
                    if parameter
                    else "add it to the secret",
                )
            return str(value)

        port = str(secret.get("port") or instead.get("port") or 5432)
        if not port.isascii() or not port.isdigit():
            raise ConfigurationError("the port in the database's secret is not a number")
        return cls(
            host=needed("host"),
            port=int(port),
            user=needed("username"),
            password=needed("password"),
            name=needed("dbname"),
            tls=tls,
            root_certificates=certificates,
        )

    @classmethod
    def of_settings(
        cls,
        settings: DatabaseSettings,
        certificates: str,
        *,
        secret: Callable[[str], Mapping[str, Any]],
        token: Callable[[str, int, str], str],
        place: Place | None = None,
    ) -> Endpoint:
        """The database of a stack, or a restored one that is not in its place yet.

        Args:
            settings: of the stack.
            certificates: path of the certificate authorities to trust.
            secret: reads the fields of a secret, given its ARN.
            token: makes a password, given host, port and user; it is good for that host only
                (RDS User Guide, "Connecting using IAM authentication").
            place: where it is, in what that differs from the settings.

        Raises:
            ConfigurationError: a field is missing, or the port is not a number.
        """
        fields: dict[str, Any] = {
            "host": settings.host,
            "port": settings.port,
            "username": settings.user,
            "dbname": settings.name,
        }
        # A token is made when a connection needs it: before that, a person may be asked.
        known = secret(settings.secret_arn) if settings.secret_arn else {"password": _BY_LOGIN}
        found = cls.from_secret(known, fields, settings.tls, certificates)
        # The first connection has the login that was just read.
        unused = [found] if settings.secret_arn else []

        def login(endpoint: Endpoint) -> tuple[str, str]:
            if unused and (endpoint.host, endpoint.port) == (found.host, found.port):
                first = unused.pop()
                return first.user, first.password
            if not settings.secret_arn:
                return endpoint.user, token(endpoint.host, endpoint.port, endpoint.user)
            anew = cls.from_secret(secret(settings.secret_arn), fields, settings.tls, certificates)
            return anew.user, anew.password

        found = replace(found, login=login)
        return found.at(place) if place else found

    @classmethod
    def from_url(cls, url: str) -> Endpoint:
        """The database of an address as libpq reads it; what it leaves out, PG* variables say.

        Args:
            url: ``postgresql://…``, or ``host=… dbname=…``.

        Raises:
            ConfigurationError: it cannot be read, or names several hosts.
        """
        import psycopg

        from turnback.engine.session.connection import read_address

        given = read_address(url)
        usual = {
            option.keyword.decode(): (option.val or b"").decode()
            for option in psycopg.pq.Conninfo.get_defaults()
        }

        def value(name: str) -> str:
            return str(given.get(name) or usual.get(name) or "")

        host, port = value("host") or value("hostaddr") or "localhost", value("port") or "5432"
        if not port.isascii() or not port.isdigit() or "," in host:
            raise ConfigurationError(
                "the address names several servers", hint="name the one that is written to"
            )
        user = value("user")
        return cls(
            host=host,
            port=int(port),
            user=user,
            password=value("password"),
            name=value("dbname") or user,
            # There is no TLS on a local socket, and libpq does not ask for it there.
            tls="disable" if host.startswith("/") else value("sslmode") or "prefer",
            root_certificates=value("sslrootcert"),
        )

    def at(self, place: Place) -> Endpoint:
        """The same login at another place."""
        return replace(
            self,
            host=place.host or self.host,
            port=place.port or self.port,
            name=place.name or self.name,
        )

    def renewed(self) -> Endpoint:
        """The same place with the login of now.

        Raises:
            AwsError: the secret cannot be read.
        """
        if self.login is None:
            return self
        user, password = self.login(self)
        return replace(self, user=user, password=password, login=None)

    def open(self, application_name: str, *, lock_timeout_ms: int = 2000) -> Connection:
        """A session for turnback's own statements; see ``connect_for_own`` and ``connected``."""
        from turnback.engine.session.connection import connect_for_own

        return self.connected(
            lambda: connect_for_own(
                self.conninfo(), application_name=application_name, lock_timeout_ms=lock_timeout_ms
            )
        )

    def connected(self, connect: Callable[[], T]) -> T:
        """What ``connect`` returns, called again while the login is refused.

        The login may be in the middle of its rotation. One that is fixed is not tried again.

        Args:
            connect: connects, with the login of now.
        """
        for pause in LOGIN_PAUSES_S if self.login else ():
            try:
                return connect()
            except DatabaseRefused as error:
                if error.sqlstate not in LOGIN_REFUSED:
                    raise
            time.sleep(pause)
        return connect()

    def refuses_login(self) -> bool:
        """Whether the server refuses this login, of a program that has failed, and now another.

        The words of the program may be in any language, so the server is asked once more.

        Raises:
            DatabaseUnreachable: no answer.
        """
        try:
            self.open("turnback login").close()
        except DatabaseRefused as error:
            return error.sqlstate in LOGIN_REFUSED
        return False

    @property
    def address(self) -> str:
        """``host:port/database``, for people."""
        from turnback.engine.session.connection import describe

        return describe(replace(self, login=None).conninfo())

    def _parameters(self) -> dict[str, str]:
        now = self.renewed()
        parameters = {
            "host": self.host,
            "port": str(self.port),
            "user": now.user,
            "password": now.password,
            "dbname": self.name,
            "sslmode": self.tls,
        }
        if self.tls.startswith("verify-") and self.root_certificates:
            parameters["sslrootcert"] = self.root_certificates
        return parameters

    def conninfo(self) -> str:
        """The connection string, quoted by libpq's rules."""
        return " ".join(
            "{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
            for name, value in self._parameters().items()
        )

    def environment(self) -> dict[str, str]:
        """The same as variables for pg_dump: what stands in argv, any process can read."""
        names = {"dbname": "PGDATABASE"}
        return {
            names.get(name, f"PG{name.upper()}"): value
            for name, value in self._parameters().items()
        }
