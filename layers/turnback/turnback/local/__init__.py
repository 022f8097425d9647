"""What runs on this machine only, never in Lambda: the embedded Postgres, the local AWS."""

import sys

from turnback.errors import ConfigurationError

if sys.platform == "win32":
    raise ConfigurationError(
        "the embedded Postgres of turnback runs on Linux and macOS only",
        hint="name a server: --database-url or DATABASE_URL, and --shadow-url for rehearse",
    )
