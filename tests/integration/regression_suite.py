"""PostgreSQL's own regression suite, from Debian's source package: its files as scripts of SQL.

The files are not part of this repository. They are downloaded once, by apt, which checks their
signature, into a folder of the checkout.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".turnback" / "regression"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRROR = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
# The inline rows of a COPY, and what only psql understands: its commands and its variables.
_ROWS = re.compile(
    r"^copy [^;]*from stdin[^;]*;.*?^\\\.$", re.IGNORECASE | re.DOTALL | re.MULTILINE
)
_COMMAND = re.compile(r"\\.*$", re.MULTILINE)
_SLICES = """
import json, sys
from pglast.parser import ParseError, parse_sql, split

def parses(text):
    try:
        return len(parse_sql(text)) == 1
    except ParseError:
        return False

def statements(text, how):
    return [[one.start, one.stop] for one in split(text, with_parser=how, only_slices=True)]

def cut(text):
    try:
        return [text[start:end] for start, end in statements(text, False)]
    except ParseError:
        # A quote that never ends.
        return text.split(";\\n")

asked = json.load(sys.stdin)
for text in asked["cut"]:
    print(json.dumps([one.strip().rstrip(";") for one in cut(text) if parses(one)]))
for text in asked["split"]:
    print(json.dumps(statements(text, True)))
"""


def files() -> dict[str, str]:
    """The scripts by their names, as psql reads them, without its commands and rows of COPY.

    Skips the test where apt is not, or not on a Debian.
    """
    if shutil.which("apt-get") is None or not KEYS.is_file():
        pytest.skip("the regression suite comes with apt, from Debian's source package")
    if not (HOME / "sql").is_dir():
        _download()
    return {
        path.stem: _COMMAND.sub(";", _ROWS.sub("", path.read_text()))
        for path in sorted((HOME / "sql").glob("*.sql"))
    }


def _download() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    for folder in ("lists/partial", "cache"):
        (HOME / folder).mkdir(parents=True)
    # The source packages are where the packages of this machine come from.
    found = subprocess.run(_MIRROR, check=True, capture_output=True, text=True).stdout.split()
    mirror = next(one for one in found if one.rstrip("/").endswith("/debian"))
    source = f"deb-src [signed-by={KEYS}] {mirror} bookworm main\n"
    (HOME / "sources.list").write_text(source)
    apt = [
        *("apt-get", "--quiet", "-o", f"Dir::Etc::sourcelist={HOME}/sources.list"),
        *("-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={HOME}/lists"),
        *("-o", f"Dir::Cache={HOME}/cache", "-o", "APT::Sandbox::User=root"),
    ]
    for command in (["update"], ["source", "--download-only", "postgresql-15"]):
        subprocess.run([*apt, *command], cwd=HOME, check=True, capture_output=True)
    [archive] = HOME.glob("postgresql-15_*.orig.tar.*")
    part = HOME / "sql.part"
    part.mkdir()
    with tarfile.open(archive) as opened:
        for entry in opened:
            if re.search(r"/src/test/regress/sql/\w+\.sql$", entry.name):
                found = opened.extractfile(entry)
                assert found
                (part / Path(entry.name).name).write_bytes(found.read())
    part.rename(HOME / "sql")
    for made in (archive, HOME / "lists", HOME / "cache"):
        shutil.rmtree(made) if made.is_dir() else made.unlink()


def valid_statements(texts: list[str]) -> list[list[str]]:
    """Of each text the statements that PostgreSQL's grammar knows, by pglast; others are left out.

    The suite has errors of syntax on purpose.
    """
    return _asked(cut=texts)


def slices(texts: list[str]) -> list[list[tuple[int, int]]]:
    """Where the statements of each text begin and end, in characters, by pglast."""
    return [[(start, end) for start, end in found] for found in _asked(split=texts)]


def _asked(**texts: list[str]) -> list[list[str]]:
    subprocess.run(["make", "--quiet", ".turnback/pglast/made"], cwd=ROOT, check=True)
    done = subprocess.run(
        [ROOT / ".turnback/pglast/bin/python", "-c", _SLICES],
        input=json.dumps({"cut": [], "split": [], **texts}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
