"""Migrations of real projects, with known answers: up, and back as far as their rollbacks go.

They lie beside the checkout, in ``../shared/corpora``, and are no part of it. Where they are not
there, these tests say so and are skipped, unless the variable ``CORPORA_REQUIRED`` is set.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.adopted import digests
from tests.integration.command_line import fingerprint, history, query, turnback

pytestmark = pytest.mark.slow

CORPORA = Path(__file__).resolve().parents[3] / "shared/corpora"


def corpus(name: str) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of a corpus, and what is known of each of its migrations on PostgreSQL 18."""
    folder = CORPORA / name
    if not folder.is_dir():
        missing = f"the corpus '{name}' is not there: ../shared/corpora/{name} beside the checkout"
        if os.environ.get("CORPORA_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)
    known = json.loads((folder / "result.pg18.json").read_text())
    migrations: list[dict[str, Any]] = known["migrations"]
    return folder, migrations


def failure_at(error: str) -> tuple[str, str]:
    """File and message of what psql said, such as ``0235_rollback.sql:2: ERROR:  …``."""
    match = re.match(r"(\S+?):\d+: ERROR: +(.*)", error)
    assert match is not None
    return match[1], match[2]


def test_cratesio_goes_up_whole_and_back_to_its_first_broken_rollback(database: str) -> None:
    folder, known = corpus("cratesio")
    versions = [item["seq"] for item in known]
    broken = [item for item in known if item["down_mode"] is None][-1]
    file, message = failure_at(broken["down_err"])
    taken_back = [version for version in reversed(versions) if version > broken["seq"]]

    up = turnback("up", "--json", url=database, folder=folder)
    assert up.code == 0, up.err
    assert [done["version"] for done in up.document["applied"]] == versions
    assert len(versions) == 285
    assert history(database) == [(version, "applied") for version in versions]

    down = turnback("down", "--yes", "0", "--json", url=database, folder=folder)
    assert down.code == 1
    assert [done["version"] for done in down.document["rolled_back"]] == taken_back
    error = down.document["error"]
    assert (error["type"], error["message"]) == ("RollbackFailed", message)
    assert error["file"] == f"rollback/{file}"
    statement = (folder / error["file"]).read_text().splitlines()[error["line"] - 1]
    assert statement.lower().startswith("alter table versions")
    assert f"{broken['seq']} is still applied" in error["hint"]

    expected = ["rolled_back" if version > broken["seq"] else "applied" for version in versions]
    assert history(database) == list(zip(versions, expected, strict=True))
    status = turnback("status", "--json", url=database, folder=folder).document
    assert [item["version"] for item in status["migrations"]] == versions
    assert [item["status"] for item in status["migrations"]] == expected
    assert status["pending"] == len(taken_back)

    logged = query(
        database,
        "SELECT version, outcome FROM migration_log "
        "WHERE direction = 'down' AND statement IS NULL AND outcome <> 'started' ORDER BY id",
    )
    assert logged == [(version, "done") for version in taken_back] + [(broken["seq"], "failed")]


def test_what_cratesio_unwound_can_be_applied_again(database: str) -> None:
    folder, known = corpus("cratesio")
    stop = next(item["seq"] for item in reversed(known) if item["down_mode"] is None)
    assert turnback("up", url=database, folder=folder).code == 0
    assert turnback("down", "--yes", stop, url=database, folder=folder).code == 0

    answer = turnback("up", "--json", url=database, folder=folder)

    assert answer.code == 0, answer.err
    again = [done["version"] for done in answer.document["applied"]]
    assert again == [item["seq"] for item in known if item["seq"] > stop]
    assert {status for _, status in history(database)} == {"applied"}


def test_gitness_is_refused_for_the_rollbacks_it_lacks_and_goes_up_when_that_is_meant(
    database: str,
) -> None:
    folder, known = corpus("gitness")
    lacking = [item["seq"] for item in known if item.get("down_missing")]
    before = fingerprint(database)

    refused = turnback("up", "--json", url=database, folder=folder)
    assert refused.code == 3
    assert refused.document["error"]["type"] == "RollbackMissing"
    assert f"/{lacking[0]}_" in refused.document["error"]["file"]
    assert fingerprint(database) == before

    answer = turnback("up", "--allow-missing-rollback", url=database, folder=folder)
    assert answer.code == 0, answer.err
    assert history(database) == [(item["seq"], "applied") for item in known]

    # It is known beforehand that the way to 0 is not open, so no step of it is taken.
    before = fingerprint(database)
    back = turnback("down", "--yes", "0", "--json", url=database, folder=folder)
    assert back.code == 3
    assert back.document["error"]["type"] == "RollbackMissing"
    assert back.document["rolled_back"] == []
    assert fingerprint(database) == before


def test_gitness_goes_back_to_its_first_broken_rollback(database: str) -> None:
    folder, known = corpus("gitness")
    broken = [item for item in known if item.get("down_err")][-1]
    file, message = failure_at(broken["down_err"])
    target = known[known.index(broken) - 1]["seq"]
    assert turnback("up", "--allow-missing-rollback", url=database, folder=folder).code == 0

    answer = turnback("down", "--yes", target, "--json", url=database, folder=folder)

    assert answer.code == 1
    error = answer.document["error"]
    assert (error["file"], error["message"]) == (f"rollback/{file}", message)
    taken_back = [done["version"] for done in answer.document["rolled_back"]]
    assert taken_back == [item["seq"] for item in reversed(known) if item["seq"] > broken["seq"]]
    assert history(database)[known.index(broken)] == (broken["seq"], "applied")


def upstream(name: str, into: Path) -> Path:
    """The files of a corpus with the names and the folders that they have in their project."""
    folder, _ = corpus(name)
    for one in json.loads((folder / "map.json").read_text()):
        for here, there in (("up", "up_src"), ("down", "down_src")):
            if one[here]:
                path = into / Path(one[there]).relative_to(_ROOTS[name])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes((folder / one[here]).read_bytes())
        if one["notx_up"]:
            # The corpus has the mark, not the file.
            (path.parent / "metadata.toml").write_text("run_in_transaction = false\n")
    return into


_ROOTS = {"cratesio": "migrations", "gitness": "app/store/database/migrate/postgres"}


@pytest.mark.parametrize(("name", "layout"), [("cratesio", "diesel"), ("gitness", "plain")])
def test_a_corpus_is_adopted_in_the_layout_of_its_project_and_rehearsed_without_a_change(
    name: str, layout: str, tmp_path: Path, database: str
) -> None:
    own, _ = corpus(name)
    folder = upstream(name, tmp_path / "migrations")
    before = digests(folder)
    adopted = turnback("adopt", "--layout", layout, "--json", url=database, folder=folder)
    assert adopted.code == 0, adopted.err
    # The tool has applied nothing to this database: all of it is rehearsed. What the same files
    # are found to be in turnback's own layout, bench/rehearsal_accuracy.py judges.
    found, expected = (
        turnback("rehearse", "--json", url=database, folder=one).document["migrations"]
        for one in (folder, own)
    )
    assert [(re.sub(r"\W", "_", one["name"]), one["rollback"]) for one in found] == [
        (one["name"], one["rollback"]) for one in expected
    ]
    assert digests(folder) == before
