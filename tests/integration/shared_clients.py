"""Clients of AWS that all tests of a process share: each costs as much CPU as a handler's work."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import loaders


def share_clients(patch: pytest.MonkeyPatch) -> None:
    """Make each client once for its options and the AWS settings of the environment.

    moto answers inside of them, and forgets between tests what they did. A client of a server of
    its own is not shared: its connections end with the test.
    """
    patch.setattr(boto3, "client", _shared(boto3.client))
    # The descriptions of the services, which a session reads anew.
    patch.setattr(loaders, "create_loader", functools.cache(loaders.create_loader))


def _shared(make: Callable[..., Any]) -> Callable[..., Any]:
    made: dict[tuple[Any, ...], Any] = {}
    # The session that all threads share is not made for that (boto3 guide, "Multithreading").
    lock = threading.Lock()

    def client(*service: str, **options: Any) -> Any:
        with lock:
            settings = {name: text for name, text in os.environ.items() if name[:4] == "AWS_"}
            if "endpoint_url" in options or any("ENDPOINT_URL" in name for name in settings):
                return make(*service, **options)
            key = (service, *sorted(options.items()), *sorted(settings.items()))
            if key not in made:
                made[key] = make(*service, **options)
            return made[key]

    return client
