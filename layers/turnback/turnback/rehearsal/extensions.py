"""Stand-ins for extensions that the embedded Postgres is built without.

Real migrations create pgcrypto and uuid-ossp. The stand-ins have their signatures, and do what
the core has functions for; the rest raises. The server finds its own extensions first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = Path(__file__).with_name("stand_ins") / "extension"


def control_path(data_dir: Path) -> str:
    """Copy the stand-ins to where the server can read them; the setting that makes it look there.

    The value is for ``extension_control_path`` (PostgreSQL 18 manual, 19.11.4).
    """
    place = data_dir / "turnback_stand_ins"
    shutil.copytree(FOLDER, place / "extension", dirs_exist_ok=True)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return f"$system:{place}"
