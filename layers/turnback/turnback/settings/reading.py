"""Reading one variable of the environment, typed, with an error that names it."""

from __future__ import annotations

from collections.abc import Mapping

from turnback.errors import ConfigurationError

Environment = Mapping[str, str]


def text(environment: Environment, name: str) -> str:
    """The value of a variable that must be there.

    Raises:
        ConfigurationError: the variable is missing or empty.
    """
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"the environment variable {name} is not set",
            hint="deploy the stack again: template.yaml sets it from a parameter",
        )
    return value


def choice(environment: Environment, name: str, allowed: tuple[str, ...], default: str) -> str:
    """The value of a variable that knows only some words.

    Raises:
        ConfigurationError: the word is none of them.
    """
    value = environment.get(name, "").strip() or default
    if value not in allowed:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be one of {', '.join(allowed)}",
            hint="correct the stack's parameter and deploy again",
        )
    return value


def whole(environment: Environment, name: str, default: int, *, least: int = 0) -> int:
    """The value of a variable that is a whole number, not below ``least``.

    Raises:
        ConfigurationError: it is no such number.
    """
    value = environment.get(name, "").strip() or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be a whole number from {least}",
            hint="correct the stack's parameter and deploy again",
        )
    return int(value)
