"""A client of RDS that takes its time: moto's answers, with the states that RDS goes through.

RDS cannot run here. moto knows its calls and their arguments (botocore checks every name and type),
but creates, restores and renames at once. Here what was begun is ``creating`` for some looks; what
is renamed is ``renaming`` under its old name, then under neither name, then there. moto forgets the
instances of a cluster that is renamed; here they move with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.rds.models import rds_backends

from tests.aws_calls import made_by

Rows = dict[str, Any]

ACCOUNT, REGION = "123456789012", "us-east-1"

# Of each kind: its describe, the rows there, and the fields of its name and its status.
INSTANCE = ("describe_db_instances", "DBInstances", "DBInstanceIdentifier", "DBInstanceStatus")
CLUSTER = ("describe_db_clusters", "DBClusters", "DBClusterIdentifier", "Status")
ABSENT = {INSTANCE: "DBInstanceNotFound", CLUSTER: "DBClusterNotFoundFault"}

# The calls that change something.
BEGIN = {
    "restore_db_instance_from_db_snapshot": (INSTANCE, "DBInstanceIdentifier"),
    "restore_db_instance_to_point_in_time": (INSTANCE, "TargetDBInstanceIdentifier"),
    "create_db_instance": (INSTANCE, "DBInstanceIdentifier"),
    "restore_db_cluster_from_snapshot": (CLUSTER, "DBClusterIdentifier"),
    "restore_db_cluster_to_point_in_time": (CLUSTER, "DBClusterIdentifier"),
}
RENAME = {
    "modify_db_instance": (INSTANCE, "DBInstanceIdentifier", "NewDBInstanceIdentifier"),
    "modify_db_cluster": (CLUSTER, "DBClusterIdentifier", "NewDBClusterIdentifier"),
}


def one_in_five(count: int) -> list[Any]:
    """The numbers of a restore's calls: one in five, and by ``make slow`` the others as well."""
    return [
        number if number % 5 == 1 else pytest.param(number, marks=pytest.mark.slow)
        for number in range(1, count + 1)
    ]


class Crash(BaseException):
    """The function is killed: nothing that runs in it sees another line."""


def refusal(code: str, operation: str = "Any") -> ClientError:
    """An error as RDS answers it."""
    return ClientError({"Error": {"Code": code, "Message": f"from the test: {code}"}}, operation)


class LifelikeRds:
    """moto's client, slowed down, with its calls counted and made to fail."""

    def __init__(self, client: Any, *, looks: int = 2, function: str | None = None) -> None:
        """Slow this client down.

        Args:
            client: boto3's, under moto.
            function: the function that makes these calls, where the tests do it in its place.
            looks: how many looks at something see it on its way before it is there.
        """
        self._client = client
        self._function = function
        self.looks = looks
        self.calls: list[tuple[str, dict[str, Any]]] = []
        # Before the call of this number, counted from 1: raises; after it: raises as well.
        self.before: dict[int, BaseException] = {}
        self.after: dict[int, BaseException] = {}
        # The same after the change of this number: what only looks leaves nothing behind.
        self.after_change: dict[int, BaseException] = {}
        # What the next looks at a name see: a row that stands in, or None for nothing.
        self._views: dict[str, list[Rows | None]] = {}

    @property
    def changes(self) -> list[str]:
        """The calls that changed something, by name, in order."""
        return [name for name, _ in self.calls if not name.startswith("describe")]

    def arguments(self, name: str) -> dict[str, Any]:
        """The arguments of the only call of this name."""
        (found,) = [given for called, given in self.calls if called == name]
        return found

    def show(self, kind: tuple[str, ...], identifier: str, status: str, looks: int = 10**6) -> None:
        """Let it be in this state for some looks."""
        row = copy.deepcopy(self._row(kind, identifier))
        row[kind[3]] = status
        self._views[identifier] = [row] * looks

    def forget(self, identifier: str) -> None:
        """Let it be as moto says."""
        self._views.pop(identifier, None)

    def get_paginator(self, name: str) -> Any:
        return _Pages(self, name)

    def __getattr__(self, name: str) -> Any:
        def call(**given: Any) -> Any:
            self.calls.append((name, given))
            number = len(self.calls)
            if error := self.before.pop(number, None):
                raise error
            try:
                with made_by(self._function) if self._function else nullcontext():
                    return self._answer(name, given)
            finally:
                # An answer that is lost may have been an error.
                if lost := self.after.pop(number, None):
                    raise lost
                if not name.startswith("describe") and (
                    lost := self.after_change.pop(len(self.changes), None)
                ):
                    raise lost

        return call

    def _answer(self, name: str, given: dict[str, Any]) -> Any:
        for kind in (INSTANCE, CLUSTER):
            if name == kind[0]:
                return self._described(kind, given)
        if name in BEGIN:
            kind, field = BEGIN[name]
            return self._begun(getattr(self._client, name), kind, given[field], given)
        if name in RENAME and RENAME[name][2] in given:
            kind, field, new = RENAME[name]
            return self._renamed(getattr(self._client, name), kind, given[field], given[new], given)
        return getattr(self._client, name)(**given)

    def _described(self, kind: tuple[str, ...], given: dict[str, Any]) -> Rows:
        describe, rows, field, _ = kind
        wanted = given.get(field)
        if wanted is not None and self._views.get(wanted):
            seen = self._views[wanted].pop(0)
            if seen is None:
                raise refusal(ABSENT[kind], describe)
            return {rows: [seen]}
        answer: Rows = getattr(self._client, describe)(**given)
        # A list is a look as well: at what is in it, and at what has left.
        if wanted is None:
            listed = {row[field] for row in answer[rows]}
            for name, views in self._views.items():
                if name not in listed and views and views[0] is not None and field in views[0]:
                    views.pop(0)
        for index, row in enumerate(answer[rows]):
            if wanted is None and self._views.get(row[field]):
                answer[rows][index] = self._views[row[field]].pop(0)
        answer[rows] = [row for row in answer[rows] if row is not None]
        return answer

    def _begun(
        self, call: Callable[..., Any], kind: tuple[str, ...], name: str, given: dict[str, Any]
    ) -> Any:
        if self._views.get(name):
            raise refusal(
                "DBInstanceAlreadyExists" if kind is INSTANCE else "DBClusterAlreadyExistsFault"
            )
        answer = call(**given)
        self.show(kind, name, "creating", self.looks)
        return answer

    def _renamed(
        self,
        call: Callable[..., Any],
        kind: tuple[str, ...],
        old: str,
        new: str,
        given: dict[str, Any],
    ) -> Any:
        busy = "InvalidDBInstanceState" if kind is INSTANCE else "InvalidDBClusterStateFault"
        if self._views.get(old):
            raise refusal(busy)
        if self._stands(kind, new) or self._views.get(new):
            raise refusal(
                "DBInstanceAlreadyExists" if kind is INSTANCE else "DBClusterAlreadyExistsFault"
            )
        leaving = copy.deepcopy(self._row(kind, old))
        leaving[kind[3]] = "renaming"
        answer = call(**given)
        if kind is CLUSTER:
            for instance in rds_backends[ACCOUNT][REGION].databases.values():
                if instance.db_cluster_identifier == old:
                    instance.db_cluster_identifier = new
        arrived = copy.deepcopy(self._row(kind, new))
        arrived[kind[3]] = "renaming"
        self._views[old] = [leaving] * self.looks
        self._views[new] = [None] * (self.looks * 2) + [arrived] * self.looks
        return answer

    def _row(self, kind: tuple[str, ...], identifier: str) -> Rows:
        return dict(getattr(self._client, kind[0])(**{kind[2]: identifier})[kind[1]][0])

    def _stands(self, kind: tuple[str, ...], identifier: str) -> bool:
        try:
            return bool(self._row(kind, identifier))
        except ClientError:
            return False


class _Pages:
    """A paginator that gives one page."""

    def __init__(self, rds: LifelikeRds, name: str) -> None:
        self._rds, self._name = rds, name

    def paginate(self, **given: Any) -> list[Any]:
        return [getattr(self._rds, self._name)(**given)]
