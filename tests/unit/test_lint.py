"""What lint finds, where, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from turnback.cli.lint import annotated, human, summary
from turnback.errors import UnknownVersion
from turnback.migrations.discovery import load_project
from turnback.migrations.model import BATCH
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import RULES, Finding, Report, Severity, known
from turnback.sql.lint.writing import NEXT, VERIFY, dotted_name, name
from turnback.sql.statements import split

from tests.conftest import ProjectFactory

USERS = (
    "CREATE TABLE users (id bigint PRIMARY KEY, email varchar(20) NOT NULL, city text, age int);\n"
    "CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total int);\n"
    "CREATE INDEX ON orders (user_id);\n"
)
INDEX = "CREATE INDEX users_city_idx ON users (city);\n"


Look = Callable[..., Report]


@pytest.fixture
def look(project_factory: ProjectFactory) -> Look:
    """Lints scripts: the first makes the tables of ``USERS``, the next ones are given."""

    def run(*scripts: str, rollback: str | None = None, **options: str) -> Report:
        files = {"sql/0001_tables.sql": USERS}
        for number, sql in enumerate(scripts, 2):
            files[f"sql/{number:04}_s.sql"] = sql
        if rollback is not None:
            files[f"rollback/{len(scripts) + 1:04}_rollback.sql"] = rollback
        report = lint(load_project(project_factory(files, sums=False)), **options)
        # The tables of these tests have no primary key, and that is not what they are about.
        kept = tuple(item for item in report.findings if item.rule.id != "TB602")
        return replace(report, findings=kept)

    return run


def ids(report: Report) -> list[str]:
    return [finding.rule.id for finding in report.findings]


def levels(report: Report) -> list[tuple[str, str]]:
    return [(item.rule.id, str(item.level)) for item in report.findings]


def places(report: Report) -> list[tuple[str, int, int]]:
    return [(item.rule.id, item.line, item.column) for item in report.findings]


# Tables in use, and new ones


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        (INDEX, ["TB101"]),
        ("CREATE UNIQUE INDEX ON users (lower(email));", ["TB101"]),
        ("CREATE INDEX CONCURRENTLY users_city_idx ON users (city);", []),
        ("CREATE INDEX IF NOT EXISTS orders_user_id_idx ON orders (user_id);", []),
        ("CREATE INDEX ON nobody_knows (a);", ["TB101"]),
        ("REINDEX TABLE users;", ["TB102"]),
        ("REINDEX TABLE CONCURRENTLY users;", []),
        ("REINDEX (CONCURRENTLY) TABLE users;", []),
        ("REINDEX (CONCURRENTLY off) TABLE users;", ["TB102"]),
        ("REINDEX SYSTEM app;", []),
        ("ALTER TABLE users ALTER city SET NOT NULL;", ["TB103"]),
        ("ALTER TABLE users ALTER email SET NOT NULL;", []),
        ("ALTER TABLE users ALTER id SET NOT NULL;", []),
        ("ALTER TABLE users ADD CONSTRAINT n NOT NULL city;", ["TB103"]),
        ("ALTER TABLE users ADD CONSTRAINT n NOT NULL city NOT VALID;", []),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users;", ["TB104"]),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;", []),
        ("ALTER TABLE orders ADD buyer bigint DEFAULT 1 REFERENCES users;", ["TB104", "TB301"]),
        ("ALTER TABLE orders ADD buyer bigint REFERENCES users;", ["TB301"]),
        ("ALTER TABLE users ADD CHECK (age > 0);", ["TB105"]),
        ("ALTER TABLE users ADD score int CHECK (score > 0);", ["TB105"]),
        ("ALTER TABLE users ADD CHECK (age > 0) NOT VALID;", []),
        ("ALTER TABLE users ALTER age TYPE bigint;", ["TB106"]),
        ("ALTER TABLE users ALTER email TYPE varchar(40);", []),
        ("ALTER TABLE users ALTER email TYPE text;", []),
        ("ALTER TABLE users ALTER email TYPE text USING email::text;", []),
        ("ALTER TABLE users ALTER email TYPE text USING lower(email);", ["TB106"]),
        ("ALTER TABLE users ALTER email TYPE varchar(10);", ["TB106"]),
        ("ALTER TABLE users ALTER nobody_knows TYPE text;", ["TB106"]),
        ("ALTER TABLE users ADD UNIQUE (email);", ["TB107"]),
        ("ALTER TABLE users ADD nick text UNIQUE;", ["TB107"]),
        ("ALTER TABLE users ADD EXCLUDE USING btree (age WITH =);", ["TB107"]),
        ("ALTER TABLE users ADD token uuid DEFAULT gen_random_uuid();", ["TB108"]),
        ("ALTER TABLE users ADD n serial;", ["TB108"]),
        ("ALTER TABLE users ADD n int GENERATED ALWAYS AS IDENTITY;", ["TB108"]),
        ("ALTER TABLE users ADD n int GENERATED ALWAYS AS (age + 1) STORED;", ["TB108"]),
        ("ALTER TABLE users ADD n int GENERATED ALWAYS AS (age + 1) VIRTUAL;", []),
        ("ALTER TABLE users ADD at timestamptz NOT NULL DEFAULT now();", []),
        ("ALTER TABLE users ADD j jsonb NOT NULL DEFAULT '{}'::jsonb;", []),
        ("VACUUM FULL users;", ["TB109"]),
        ("VACUUM (FULL false) users;", []),
        ("CLUSTER users USING users_pkey;", ["TB109"]),
        ("TRUNCATE users CASCADE;", ["TB110"]),
        ("TRUNCATE users;", ["TB110"]),
        ("ALTER TABLE users ADD plan text NOT NULL;", ["TB112"]),
        ("ALTER TABLE users ADD plan text NOT NULL, ADD b int NOT NULL;", ["TB112", "TB112"]),
        ("ALTER TABLE users ADD plan text NOT NULL DEFAULT 'free';", []),
        ("ALTER TABLE users RENAME TO people;", ["TB402"]),
        ("ALTER TABLE users RENAME city TO town;", ["TB402"]),
        ("ALTER TABLE users SET SCHEMA old;", ["TB402"]),
        ("ALTER VIEW v RENAME TO w;", ["TB402"]),
        ("ALTER INDEX i RENAME TO j;", []),
        ("ALTER TABLE users RENAME CONSTRAINT a TO b;", []),
        ("ALTER TABLE users ADD nick text;", []),
        ("DROP INDEX users_city_idx;", []),
    ],
)
def test_a_statement_on_a_table_in_use_is_found_when_it_blocks(
    sql: str, rules: list[str], look: Look
) -> None:
    assert ids(look(sql)) == rules


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX ON t (a);",
        "ALTER TABLE t ALTER a SET NOT NULL;",
        "ALTER TABLE t ADD CHECK (a > 0);",
        "ALTER TABLE t ALTER a TYPE bigint;",
        "ALTER TABLE t ADD UNIQUE (a);",
        "ALTER TABLE t ADD n serial;",
        "ALTER TABLE t ADD n uuid DEFAULT gen_random_uuid();",
        "ALTER TABLE t ADD n int NOT NULL;",
        "ALTER TABLE t RENAME a TO b;",
        "ALTER TABLE t RENAME TO u;",
        "UPDATE t SET a = 1;",
        "DELETE FROM public.t;",
        "TRUNCATE t CASCADE;",
        "DROP TABLE t;",
    ],
)
def test_a_table_that_the_same_file_makes_is_nobodys(sql: str, look: Look) -> None:
    assert ids(look(f"CREATE TABLE t (a int);\n{sql}")) == []
    assert ids(look(f"CREATE TABLE t AS SELECT 1 AS a;\n{sql}")) == []


def test_if_not_exists_makes_no_new_table_of_one_that_is_there(look: Look) -> None:
    assert ids(look(f"CREATE TABLE IF NOT EXISTS users (id bigint);\n{INDEX}")) == ["TB101"]


def test_with_since_a_table_of_the_release_is_new_to_all_of_it(look: Look) -> None:
    scripts = ("CREATE TABLE t (a int);", "CREATE INDEX ON t (a);")
    assert ids(look(*scripts)) == ["TB101"]
    report = look(*scripts, since="0001")
    assert ids(report) == []
    assert [one.rule.id for one in report.on_new_tables] == ["TB101"]
    assert not report.without({"TB101"}).on_new_tables and not look(*scripts).on_new_tables
    assert "nothing found in 2 migrations; 1 not shown, on tables that are new" in summary(report)
    assert ids(look(*scripts, since="0002")) == ["TB101"]


def test_the_schema_of_a_name_is_public_unless_it_is_said(look: Look) -> None:
    assert ids(look("CREATE TABLE public.t (a int);\nCREATE INDEX ON t (a);")) == []
    assert ids(look("CREATE TABLE other.t (a int);\nCREATE INDEX ON t (a);")) == ["TB101"]


def test_a_renamed_table_keeps_what_is_known_of_it(look: Look) -> None:
    rename = "ALTER TABLE users RENAME TO people;"
    report = look(rename, "ALTER TABLE people ALTER email SET NOT NULL;", since="0002")
    assert ids(report) == []


def test_a_validated_check_is_proof_enough_for_set_not_null(look: Look) -> None:
    check = "ALTER TABLE users ADD CONSTRAINT c CHECK (city IS NOT NULL AND age > 0) NOT VALID;"
    validate = "ALTER TABLE users VALIDATE CONSTRAINT c;"
    set_not_null = "ALTER TABLE users ALTER city SET NOT NULL;"
    assert ids(look(check, validate, set_not_null)) == []
    assert ids(look(check, set_not_null)) == ["TB103"]
    assert ids(look(check, validate, "ALTER TABLE users DROP CONSTRAINT c;", set_not_null)) == [
        "TB103"
    ]
    either = "ALTER TABLE users ADD CONSTRAINT c CHECK (city IS NOT NULL OR age > 0) NOT VALID;"
    assert ids(look(either, validate, set_not_null)) == ["TB103"]


@pytest.mark.parametrize(
    "made",
    [
        "ALTER TABLE users ADD CONSTRAINT c CHECK (length(email) > 3) NOT VALID;\n"
        "-- turnback: waive TB202 because it is meant\n"
        "ALTER TABLE users VALIDATE CONSTRAINT c;",
        "CREATE INDEX CONCURRENTLY i ON users (lower(email));",
        "CREATE INDEX CONCURRENTLY i ON users (id) WHERE email > 'm';",
    ],
)
def test_a_wider_type_is_read_again_for_the_expressions_that_name_it(made: str, look: Look) -> None:
    widen = "ALTER TABLE users ALTER email TYPE varchar(40);"
    [finding] = look(made, widen).findings
    assert finding.rule.id == "TB106"
    assert "reads every row of users for the checks and indexes on email" in finding.message


def test_the_index_of_a_partitioned_table_is_made_on_only_the_parent_first(look: Look) -> None:
    made = "CREATE TABLE p (a int) PARTITION BY LIST (a);"
    [finding] = look(made, "CREATE INDEX p_a_idx ON p (a);").findings
    assert finding.rule.id == "TB101"
    assert "CREATE INDEX p_a_idx ON ONLY p (a);" in finding.safer
    assert ids(look(made, "CREATE INDEX p_a_idx ON ONLY p (a);")) == []


# Statements that share a transaction


def test_a_strong_lock_after_a_slow_statement_is_found_at_the_lock(look: Look) -> None:
    report = look(
        "INSERT INTO orders (id) SELECT id FROM users;\n\nALTER TABLE orders ADD a int;\n"
    )
    assert places(report) == [("TB201", 3, 1)]
    assert "after line 1, which copies the rows of users" in report.findings[0].message


def test_a_lock_that_is_held_already_is_not_taken_again(look: Look) -> None:
    sql = "ALTER TABLE users ALTER city SET NOT NULL;\nALTER TABLE users ALTER city SET DEFAULT '';"
    assert ids(look(sql)) == ["TB103"]


def test_a_slow_statement_under_a_strong_lock_is_found_at_the_slow_one(look: Look) -> None:
    report = look("ALTER TABLE users ADD nick text;\nUPDATE users SET nick = email;")
    # TB203 would say the same.
    assert places(report) == [("TB202", 2, 1)]
    assert "while line 1 keeps users locked" in report.findings[0].message


def test_a_new_foreign_key_locks_the_table_it_points_at(look: Look) -> None:
    made = "CREATE TABLE t (user_id bigint PRIMARY KEY REFERENCES users);"
    copied = "INSERT INTO t SELECT id FROM users;"
    [finding] = look(f"{made}\n{copied}").findings
    assert (finding.rule.id, finding.line) == ("TB202", 2)
    assert "so writers of users wait" in finding.why


def test_a_dropped_foreign_key_locks_out_readers_of_the_table_it_pointed_at(look: Look) -> None:
    made = "CREATE TABLE t (user_id bigint PRIMARY KEY REFERENCES users);"
    report = look(made, "DROP TABLE t;\nINSERT INTO orders (id) SELECT id FROM users;")
    assert "readers and writers of" in next(f.why for f in report.findings if f.line == 2)


def test_outside_a_transaction_no_lock_is_held_over(look: Look) -> None:
    header = "-- turnback: no-transaction\n"
    sql = "ALTER TABLE users ADD nick text;\nINSERT INTO orders (id) SELECT id FROM users;"
    assert ids(look(sql)) == ["TB202"]
    assert ids(look(header + sql)) == []


def test_a_begin_and_commit_around_the_file_change_nothing(look: Look) -> None:
    report = look(f"BEGIN;\n{INDEX}COMMIT;\n")
    assert places(report) == [("TB101", 2, 1)]


def test_a_mixture_is_found_at_the_statement_that_cannot_run_in_a_transaction(look: Look) -> None:
    sql = "ALTER TABLE users ADD a int;\nCREATE INDEX CONCURRENTLY i ON users (a);"
    assert places(look(sql)) == [("TB204", 2, 1)]
    assert ids(look("-- turnback: no-transaction\n" + sql)) == []
    assert ids(look("SET work_mem = '1GB';\nCREATE INDEX CONCURRENTLY i ON users (age);")) == []


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("ALTER TYPE e ADD VALUE 'x';\nINSERT INTO users (id, kind) VALUES (1, 'x');", 1),
        ("ALTER TYPE e ADD VALUE 'x';\nINSERT INTO users (id, city) VALUES (1, 'x');", 0),
        ("ALTER TYPE e ADD VALUE 'x';\nINSERT INTO users (id, city) VALUES (1, 'y');", 0),
        (
            "CREATE TYPE e AS ENUM ('a');\nALTER TYPE e RENAME VALUE 'a' TO 'x';\n"
            "INSERT INTO users (city) VALUES ('x');",
            0,
        ),
        (
            "CREATE TYPE e AS ENUM ('a');\nALTER TYPE e ADD VALUE 'x';\n"
            "INSERT INTO users (id, city) VALUES (1, 'x');",
            0,
        ),
        (
            "-- turnback: no-transaction\nALTER TYPE e ADD VALUE 'x';\n"
            "INSERT INTO users (id, city) VALUES (1, 'x');",
            0,
        ),
    ],
)
def test_a_value_of_an_enum_is_used_too_soon_in_the_transaction_that_adds_it(
    sql: str, count: int, look: Look
) -> None:
    assert ids(look(sql)) == ["TB205"] * count


def test_a_value_that_is_used_too_soon_is_an_error_only_where_the_migration_fails(
    look: Look,
) -> None:
    sql = "ALTER TYPE e ADD VALUE 'x';\nINSERT INTO users (id, kind) VALUES (1, 'x');"
    assert [one.level for one in look(sql).findings] == ["warning"]
    assert [one.level for one in look(f"{sql}\nSAVEPOINT s;").findings] == ["error"]


# Data


@pytest.mark.parametrize(
    "where",
    [
        "",
        "WHERE city IS NULL",
        "WHERE city = 'Bern'",
        "WHERE id > 5",
        "WHERE id = age",
        "WHERE id IN (SELECT user_id FROM orders)",
        "WHERE id = 1 OR city IS NULL",
    ],
)
def test_a_change_of_any_number_of_rows_is_found(where: str, look: Look) -> None:
    assert ids(look(f"UPDATE users SET age = 1 {where};")) == ["TB203"]
    assert ids(look(f"DELETE FROM users {where};")) == ["TB203"]


@pytest.mark.parametrize(
    "where",
    [
        "WHERE id = 1",
        "WHERE id IN (1, 2, 3)",
        "WHERE id = ANY (ARRAY[1, 2]) AND city IS NULL",
        "WHERE age BETWEEN 1 AND 1000",
        "WHERE age >= 0 AND age < 1000",
        "WHERE ctid = ANY (ARRAY(SELECT ctid FROM users LIMIT 10))",
        "WHERE id IN (SELECT id FROM users WHERE city IS NULL ORDER BY id LIMIT 10)",
    ],
)
def test_a_bounded_change_is_none(where: str, look: Look) -> None:
    assert ids(look(f"UPDATE users SET age = 1 {where};")) == []
    assert ids(look(f"DELETE FROM users {where};")) == []


def test_the_batch_to_copy_keeps_the_condition_and_is_found_no_more(look: Look) -> None:
    sql = "UPDATE users SET city = '(where)' WHERE city IS NULL AND age > (SELECT 1 WHERE true)"
    [finding] = look(f"{sql};").findings
    assert "SET city = '(where)' WHERE city IS NULL AND age > (SELECT" in finding.safer
    batches, _, verify = finding.safer.partition(f"{VERIFY}\n")
    assert ids(look(batches)) == []
    assert "WHERE city IS NULL AND age > (SELECT 1 WHERE true)" in verify


# Foreign keys without an index


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        ("CREATE TABLE t (a bigint REFERENCES users);", 1),
        ("CREATE TABLE t (a bigint, FOREIGN KEY (a) REFERENCES users);", 1),
        ("CREATE TABLE t (a bigint PRIMARY KEY REFERENCES users);", 0),
        ("CREATE TABLE t (a bigint UNIQUE REFERENCES users);", 0),
        ("CREATE TABLE t (a bigint REFERENCES users, b int, PRIMARY KEY (a, b));", 0),
        ("CREATE TABLE t (a bigint REFERENCES users, b int, PRIMARY KEY (b, a));", 1),
        ("CREATE TABLE t (a bigint REFERENCES users); CREATE INDEX ON t (a, lower('x'));", 0),
        ("CREATE TABLE t (a bigint REFERENCES users); CREATE INDEX ON t (a) WHERE a > 1;", 1),
        ("CREATE TABLE t (a bigint REFERENCES users); DROP TABLE t;", 0),
        ("CREATE TABLE t (a bigint REFERENCES users); ALTER TABLE t DROP COLUMN a;", 0),
    ],
)
def test_a_foreign_key_needs_an_index_that_begins_with_its_columns(
    sql: str, missing: int, look: Look
) -> None:
    assert ids(look(sql)) == ["TB301"] * missing


def test_an_index_that_a_later_file_adds_serves_the_foreign_key(look: Look) -> None:
    made = "CREATE TABLE t (a bigint, b bigint, FOREIGN KEY (a, b) REFERENCES w (x, y));"
    assert ids(look(made)) == ["TB301"]
    assert ids(look(made, "CREATE INDEX CONCURRENTLY i ON t (b, a);")) == []


# The application, and the rollback script


def test_a_drop_is_compared_with_the_file_right_before_it(look: Look) -> None:
    fill, drop = "ALTER TABLE users ADD nick text;", "ALTER TABLE users DROP COLUMN nick;"
    report = look(fill, drop)
    assert levels(report) == [("TB401", "error")]
    assert report.findings[0].message == "users.nick is dropped, and sql/0002_s.sql still made it."
    assert levels(look(fill, "SELECT 1;", drop)) == [("TB401", "warning")]


def test_with_since_a_drop_is_compared_with_the_whole_release_and_the_one_before(
    look: Look,
) -> None:
    scripts = (
        "UPDATE users SET city = '' WHERE id = 1;",
        "SELECT 1;",
        "ALTER TABLE users DROP COLUMN city;",
    )
    assert levels(look(*scripts)) == [("TB401", "warning")]
    assert levels(look(*scripts, since="0001")) == [("TB401", "error")]
    assert levels(look(*scripts, since="0002")) == [("TB401", "error")]
    assert levels(look(*scripts, since="0003")) == [("TB401", "warning")]


def test_an_empty_rollback_is_found_behind_a_real_change_only(look: Look) -> None:
    change = "ALTER TABLE users ADD nick text;"
    assert ids(look(change, rollback="-- nothing\n")) == ["TB501"]
    assert ids(look(change, rollback="ALTER TABLE users DROP nick;")) == []
    assert ids(look("SELECT 1;", rollback="")) == []
    assert ids(look("VACUUM users;", rollback="")) == []
    header = "-- turnback: irreversible because the rows are gone\n"
    assert ids(look(header + change, rollback="")) == []
    keeps = "-- turnback: keep-rows because the rollback before drops the column\n"
    assert ids(look(change, rollback=keeps)) == ["TB501"]
    assert ids(look("UPDATE users SET city = 'x' WHERE id = 1;", rollback=keeps)) == []


def test_what_blocks_is_a_remark_in_a_rollback_script(look: Look) -> None:
    report = look("DROP INDEX users_city_idx;", rollback=INDEX)
    assert [(item.rule.id, item.level) for item in report.findings] == [("TB101", Severity.INFO)]
    assert not report.fails()
    assert report.fails(strict=True)


def test_what_fails_is_an_error_in_a_rollback_script_too(look: Look) -> None:
    back = "ALTER TABLE users ADD nick text NOT NULL;"
    report = look("COMMENT ON TABLE users IS 'a';", rollback=back)
    assert [(item.rule.id, item.level) for item in report.findings] == [("TB112", Severity.ERROR)]


def test_a_table_that_its_migration_made_is_nobodys_in_the_rollback_script(look: Look) -> None:
    assert ids(look("CREATE TABLE t (a int);", rollback="DELETE FROM t; DROP TABLE t;")) == []


def test_a_rename_in_a_rollback_script_is_its_purpose(look: Look) -> None:
    waived = "-- turnback: waive TB402 because nobody uses it\nALTER TABLE users RENAME city TO t;"
    assert ids(look(waived, rollback="ALTER TABLE users RENAME t TO city;")) == []


def test_a_long_name_is_one_that_is_kept_in_the_catalog(look: Look) -> None:
    long = "a" * 64
    for sql in (f"SELECT '{long}', $$ {long} $$; -- {long}", f"SET my.{long} = '1';"):
        assert ids(look(sql)) == []
    assert places(look(f"SELECT /* {long} */ 1 AS {long};")) == [("TB304", 1, 84)]


def test_a_column_that_fills_itself_is_not_required(look: Look) -> None:
    for column in (
        "int NOT NULL DEFAULT 1",
        "int",
    ):
        assert ids(look(f"ALTER TABLE users ADD plan {column};")) == []
    virtual = "ALTER TABLE users ADD plan int NOT NULL GENERATED ALWAYS AS (age) VIRTUAL;"
    assert ids(look(virtual)) == ["TB103"]
    found = look("ALTER TABLE users ADD a int NOT NULL, ADD b text, ADD c text NOT NULL;")
    assert places(found) == [("TB112", 1, 23), ("TB112", 1, 55)]


def test_a_domain_that_must_not_be_null_is_checked_before(look: Look) -> None:
    [finding] = look("ALTER DOMAIN d ADD CONSTRAINT c NOT NULL;").findings
    assert finding.rule.id == "TB111"
    assert "ADD CONSTRAINT c CHECK (value IS NOT NULL) NOT VALID;" in finding.safer


def test_a_rename_that_no_query_can_see_is_not_reported(look: Look) -> None:
    for sql in (
        "ALTER INDEX users_pkey RENAME TO p;",
        "ALTER TABLE users RENAME CONSTRAINT users_pkey TO p;",
    ):
        assert ids(look(sql)) == []
    for sql in ("ALTER VIEW v RENAME TO w;", "ALTER TABLE users SET SCHEMA app;"):
        assert ids(look(sql)) == ["TB402"]


# Places


def test_places_are_lines_and_columns_in_characters(look: Look) -> None:
    sql = (
        "-- é 🐘\r\n"
        "SELECT '🐘é'; CREATE INDEX ON users (city);\r\n"
        "SELECT '🐘é'; ALTER TABLE users ADD \"🐘é\" int, ADD plan text NOT NULL;"
    )
    assert places(look(sql)) == [
        ("TB101", 2, 14),
        ("TB201", 3, 14),
        ("TB112", 3, 50),
    ]


def test_a_name_that_is_cut_off_is_found_where_it_stands(look: Look) -> None:
    report = look("SELECT '🐘'; CREATE TABLE \"" + "é" * 32 + '" (a int);')
    assert places(report) == [("TB304", 1, 26)]
    assert "has 64 bytes" in report.findings[0].message


def test_findings_come_by_file_and_place_and_each_once(look: Look) -> None:
    report = look("VACUUM FULL users;", INDEX + INDEX.replace("_idx", "_idx2"))
    assert [(item.file, item.line) for item in report.findings] == [
        ("sql/0002_s.sql", 1),
        ("sql/0003_s.sql", 1),
        ("sql/0003_s.sql", 2),
    ]


def test_only_the_versions_asked_for_are_reported(look: Look) -> None:
    assert ids(look(INDEX, "VACUUM FULL users;", versions=["3"])) == ["TB109"]
    assert look(INDEX, INDEX, since="0002").migrations == 1


def test_a_version_that_is_not_there_is_refused(look: Look) -> None:
    with pytest.raises(UnknownVersion):
        look(INDEX, since="0009")
    assert ids(look(INDEX, since="0")) == []


def test_a_file_that_cannot_be_read_is_a_finding_and_the_others_are_read(look: Look) -> None:
    report = look("ALTER TABEL users;", INDEX)
    assert places(report) == [("TB901", 1, 7), ("TB101", 1, 1)]
    report = look(
        "CREATE TABLE t (a int);\nCOMMIT;\nSELECT 1;", "ALTER TABLE t ALTER a SET NOT NULL;"
    )
    assert places(report) == [("TB901", 2, 1), ("TB103", 1, 1)]


# Waivers


WAIVER = "-- turnback: waive TB101 because it is small\n"


def test_a_waiver_is_for_the_statement_that_follows_it(look: Look) -> None:
    second = INDEX.replace("_idx", "_idx2")
    report = look(f"SELECT 1;\n{WAIVER}{INDEX}{second}")
    assert places(report) == [("TB101", 4, 1)]
    assert [item.line for item in report.waived] == [3]


def test_a_waiver_in_the_header_is_for_the_first_statement(look: Look) -> None:
    report = look(f"{WAIVER}{INDEX}{INDEX.replace('_idx', '_idx2')}")
    assert places(report) == [("TB101", 3, 1)]


def test_a_waiver_in_the_header_is_for_the_file_where_the_first_statement_has_nothing(
    look: Look,
) -> None:
    assert ids(look(f"{WAIVER}SELECT 1;\n{INDEX}{INDEX.replace('_idx', '_idx2')}")) == []


def test_a_waiver_inside_a_statement_is_for_it(look: Look) -> None:
    waiver = WAIVER.replace("TB101", "TB105")
    sql = f"SELECT 1;\nALTER TABLE users\n{waiver}ADD CHECK (age > 0);"
    assert ids(look(sql)) == []


def test_a_waiver_names_its_rule_by_id_or_name_in_any_case(look: Look) -> None:
    for rule in ("tb101", "index-blocks-writes", "Index-Blocks-Writes"):
        assert ids(look(WAIVER.replace("TB101", rule) + INDEX)) == []


def test_a_waiver_is_for_its_own_rule_only(look: Look) -> None:
    report = look(WAIVER.replace("TB101", "TB105") + INDEX)
    assert places(report) == [("TB902", 1, 1), ("TB101", 2, 1)]


@pytest.mark.parametrize("sql", ["SELECT 1;\n", f"{INDEX}SELECT 1;\n", ""])
def test_a_waiver_that_switches_nothing_off_is_a_finding(sql: str, look: Look) -> None:
    assert "TB902" in ids(look(f"{sql}{WAIVER}SELECT 2;"))


def test_a_waiver_after_the_last_statement_switches_nothing_off(look: Look) -> None:
    assert ids(look(f"{INDEX}{WAIVER}")) == ["TB101", "TB902"]


@pytest.mark.parametrize("rule", ["TB999", "prefer-robust-stmts", "TB902"])
def test_a_waiver_of_no_rule_is_a_finding(rule: str, look: Look) -> None:
    assert ids(look(WAIVER.replace("TB101", rule) + "SELECT 1;")) == ["TB903"]


def test_no_waiver_is_called_unused_in_a_file_that_cannot_be_read(look: Look) -> None:
    assert ids(look(f"{WAIVER}CREATE INDEX;")) == ["TB901"]


def test_comments_of_other_linters_switch_nothing_off(look: Look) -> None:
    sql = "-- squawk-ignore-file\n-- squawk-ignore renaming-table\nALTER TABLE users RENAME TO u;"
    assert ids(look(sql)) == ["TB402"]


# Words


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("users", "users"),
        ("user", '"user"'),
        ("Users", '"Users"'),
        ("order items", '"order items"'),
        ('a"b', '"a""b"'),
        ("é", '"é"'),
    ],
)
def test_a_name_is_quoted_where_it_must_be(given: str, written: str) -> None:
    assert name(given) == written
    assert dotted_name(f"s.{given}") == f"s.{written}"


def test_what_there_is_to_copy_is_sql_with_quoted_names(look: Look) -> None:
    made = 'CREATE TABLE "Order" ("User" bigint, "group" int);'
    report = look(
        made,
        'CREATE INDEX ON "Order" ("User");',
        'ALTER TABLE "Order" ADD FOREIGN KEY ("User") REFERENCES users ON DELETE CASCADE;\n'
        'ALTER TABLE "Order" ALTER "group" SET NOT NULL, '
        "ADD CHECK ('(' < 'a' OR (\"group\" > 1)),"
        ' ADD UNIQUE ("group"), ALTER "User" TYPE int,'
        " ADD token text DEFAULT left(md5(random()::text), 9) NOT NULL;\n"
        'UPDATE "Order" SET "group" = 1;\nDELETE FROM "Order" USING users;',
    )
    assert {"TB101", "TB103", "TB104", "TB105", "TB106", "TB107", "TB108"} <= set(ids(report))
    for finding in report.findings:
        split(finding.safer.replace(BATCH, "true"))
    texts = " ".join(finding.safer for finding in report.findings)
    assert 'FOREIGN KEY ("User") REFERENCES users ON DELETE CASCADE NOT VALID' in texts
    assert "CHECK ('(' < 'a' OR \"group\" > 1) NOT VALID" in texts
    assert 'SET DEFAULT "left"(md5(random()::text), 9);' in texts


def test_a_rule_is_known_by_id_and_name() -> None:
    assert known("TB101") is known("index-blocks-writes") is RULES["TB101"]
    assert known("TB") is None
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


# Formats


def report_of(**changes: str) -> Report:
    texts = {
        "message": "50% of a|b,\nat *_<x>_*",
        "why": "Long.",
        "suggestion": "SELECT 1;",
    } | changes
    finding = Finding(RULES["TB101"], "sql/0002_a.sql", 3, 7, 0, **texts)
    return Report(2, (finding,), (finding,))


def test_a_report_without_findings_says_so() -> None:
    assert list(human(Report(3, ()))) == ["nothing found in 3 migrations."]
    nothing = annotated(Report(3, ()), ".")
    assert (nothing.render("github"), nothing.render("gitlab")) == ("", "[]")
    assert "nothing found in 3 migrations" in nothing.render("markdown")


def test_a_finding_is_an_annotation_of_its_line_with_its_rule() -> None:
    [one] = annotated(report_of(message="m"), "db").found
    assert (one.level, one.rule, one.name) == ("error", "TB101", "index-blocks-writes")
    assert (one.file, one.line, one.column) == ("sql/0002_a.sql", 3, 7)
    assert (one.message, one.why, one.sql) == ("m", "Long.", "SELECT 1;")
    assert one.page.endswith(f"/{RULES['TB101'].page}")


# What the application misses, what is lost, design and security

GIVEN = """
CREATE TYPE tier AS ENUM ('low', 'high');
CREATE TYPE place AS (street text, town text);
CREATE DOMAIN label AS text NOT NULL;
CREATE DOMAIN note AS text NOT NULL DEFAULT '';
CREATE SCHEMA shop;
CREATE SEQUENCE ticket;
CREATE VIEW people AS SELECT id, city FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION level() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW
    WHEN (OLD.age IS DISTINCT FROM NEW.age) EXECUTE FUNCTION touch();
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);
ALTER TABLE users ADD plan text NOT NULL DEFAULT 'free';
CREATE TABLE secrets (id bigint PRIMARY KEY, owner text);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (owner = current_user);
"""


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        # A new name for what queries name.
        ("ALTER TYPE tier RENAME VALUE 'high' TO 'top';", ["TB402"]),
        ("ALTER TYPE tier RENAME TO level;", ["TB402"]),
        ("ALTER TYPE place RENAME ATTRIBUTE town TO city;", ["TB402"]),
        ("ALTER SCHEMA shop RENAME TO store;", ["TB402"]),
        ("ALTER SEQUENCE ticket RENAME TO number;", ["TB402"]),
        ("ALTER FUNCTION level() RENAME TO start;", ["TB402"]),
        ("ALTER FUNCTION touch() RENAME TO touch2;", []),
        ("ALTER ROLE app RENAME TO app2;", ["TB402"]),
        ("ALTER TYPE tier SET SCHEMA shop;", ["TB402"]),
        ("CREATE TYPE size AS ENUM ('s');\nALTER TYPE size RENAME TO sizes;", []),
        ("ALTER TABLE users RENAME TO accounts;\nCREATE VIEW users AS TABLE accounts;", []),
        (
            "CREATE TABLE new_users AS TABLE users;\n"
            "ALTER TABLE users RENAME TO old_users;\nALTER TABLE new_users RENAME TO users;",
            ["TB201", "TB405"],
        ),
        (
            "CREATE TABLE new_users (id int);\nALTER TABLE users RENAME TO old_users;\n"
            "ALTER TABLE new_users RENAME TO people;",
            ["TB402"],
        ),
        ("-- turnback: swap table=users\nALTER TABLE users ALTER id TYPE bigint;", []),
        # What it cannot fill, or read.
        ("ALTER TABLE users ADD tag label;", ["TB112"]),
        ("ALTER TABLE users ADD tag note;", ["TB108"]),
        ("ALTER TABLE users ALTER plan DROP DEFAULT;", ["TB112"]),
        ("ALTER TABLE users ALTER city DROP DEFAULT;", []),
        ("ALTER TABLE users ALTER plan DROP DEFAULT, ALTER plan SET DEFAULT 'x';", []),
        ("ALTER TABLE users ADD data json;", ["TB404"]),
        ("ALTER TABLE users ENABLE ROW LEVEL SECURITY;", ["TB403"]),
        (
            "CREATE POLICY p ON users USING (id > 0);\n"
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY;",
            [],
        ),
        # What is lost.
        ("DROP TABLE orders;", ["TB401"]),
        ("DROP VIEW people;", ["TB401"]),
        ("DROP VIEW people;\nCREATE VIEW people AS SELECT id, city FROM users;", []),
        ("DROP SEQUENCE ticket;", ["TB401"]),
        ("DROP TYPE tier;", ["TB401"]),
        ("DROP SCHEMA shop CASCADE;", ["TB401"]),
        ("DROP FUNCTION level();", ["TB401"]),
        ("ALTER TABLE users DROP CONSTRAINT users_email_key;", ["TB401"]),
        ("DROP INDEX orders_user_id_idx;", []),
        ("DO $$ BEGIN DROP TABLE orders; END $$;", ["TB401"]),
        ("CREATE TABLE tmp (id int PRIMARY KEY);\nDROP TABLE tmp;", []),
        # A change of type that is refused.
        ("ALTER TABLE users ALTER city TYPE varchar;", ["TB106"]),
        ("ALTER TABLE users ALTER age TYPE int;", ["TB106"]),
        # Many rows at once.
        (
            "MERGE INTO orders o USING users u ON u.id = o.user_id\n"
            "WHEN MATCHED THEN UPDATE SET total = 1;",
            ["TB203"],
        ),
        ("WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone;", ["TB203"]),
        ("DO $$ BEGIN UPDATE orders SET total = 1; END $$;", ["TB203"]),
        ("DO $$ BEGIN UPDATE orders SET total = 1 WHERE id = 1; END $$;", []),
        ("DELETE FROM orders WHERE user_id NOT IN (SELECT id FROM users LIMIT 1);", ["TB203"]),
        ("DELETE FROM orders WHERE id IN (SELECT id FROM orders LIMIT 1000);", []),
        ("UPDATE orders SET total = 1 WHERE id BETWEEN 1 AND 100000000;", ["TB203"]),
        ("UPDATE users SET email = 'x' WHERE email IS NULL;", []),
        (
            "INSERT INTO orders (id, total) SELECT id, age FROM users\n"
            "ON CONFLICT (id) DO UPDATE SET total = 1;",
            ["TB203"],
        ),
        # Design and security.
        (
            "CREATE TABLE notes (id bigint PRIMARY KEY, u int REFERENCES users);\n"
            "CREATE INDEX ON notes (u);",
            ["TB601"],
        ),
        ("CREATE TABLE notes (id bigint PRIMARY KEY, of regproc);", ["TB603"]),
        ("DROP INDEX orders_user_id_idx;\nCREATE INDEX x ON orders (user_id, total);", ["TB604"]),
        ("ALTER TABLE users DISABLE TRIGGER ALL;", ["TB605"]),
        (
            "ALTER TABLE users DISABLE TRIGGER touched;\nALTER TABLE users ENABLE TRIGGER touched;",
            [],
        ),
        ("SET session_replication_role = replica;", ["TB605"]),
        ("ALTER SYSTEM SET work_mem = '1GB';", ["TB606"]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';", ["TB611"]),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER\n"
            "SET search_path = '' AS 'SELECT 1';",
            [],
        ),
        ("CREATE VIEW mine AS SELECT owner FROM secrets;", ["TB612"]),
        ("CREATE VIEW mine WITH (security_invoker) AS SELECT owner FROM secrets;", []),
        ("CREATE POLICY p ON orders USING (user_id = 1);", ["TB613"]),
        ("CREATE POLICY p ON secrets USING (true);", ["TB614"]),
        ("CREATE POLICY p ON secrets FOR SELECT USING (true);", []),
        (
            "CREATE POLICY p ON secrets FOR SELECT\n"
            "USING (current_setting('jwt')::jsonb -> 'user_metadata' ->> 'admin' = 'yes');",
            ["TB615"],
        ),
        ("ALTER TABLE secrets DISABLE ROW LEVEL SECURITY;", ["TB616"]),
        ("GRANT ALL ON users TO PUBLIC;", ["TB617"]),
        ("GRANT ALL ON users TO app;", []),
        ("CREATE ROLE app PASSWORD 'x';", ["TB618"]),
        ("CREATE ROLE app PASSWORD NULL;", []),
    ],
)
def test_what_the_application_or_its_data_would_miss_is_found_and_nothing_else(
    sql: str, found: list[str], look: Look
) -> None:
    report = look(GIVEN, "COMMENT ON SCHEMA public IS 'between';", sql)
    here = {item.rule.id for item in report.findings if item.file == "sql/0004_s.sql"}
    # Of other rules, for the statements around the one that each case is about.
    assert here - ({"TB101", "TB202"} - set(found)) == set(found)


@pytest.mark.parametrize(
    "sql",
    [
        # Where the session's time zone is UTC, which lint takes for granted.
        "ALTER TABLE t ALTER at TYPE timestamptz;",
        "ALTER TABLE t ALTER z TYPE timestamp;",
        "ALTER TABLE t ADD v int GENERATED ALWAYS AS (a + 1) VIRTUAL;",
        "ALTER TABLE t ALTER a SET NOT NULL;",
        "ALTER TABLE t RENAME TO s;\nCREATE VIEW t AS TABLE s;",
        "ALTER TABLE t ALTER x TYPE text;",
        "ALTER TABLE t ALTER o TYPE int;",
        "ALTER TABLE t ALTER b TYPE varbit USING b;",
    ],
)
def test_what_the_server_does_at_once_is_not_reported(sql: str, look: Look) -> None:
    given = (
        "CREATE TABLE t (id bigint PRIMARY KEY, a int, at timestamp, z timestamptz, x xml, o oid,"
        " b bit(4));\nALTER TABLE t ADD CONSTRAINT a_there NOT NULL a NOT VALID;\n"
    )
    validated = "ALTER TABLE t VALIDATE CONSTRAINT a_there;"
    assert ids(look(given, validated, sql)) == []


@pytest.mark.parametrize(
    ("sql", "differs"),
    [
        ("CREATE TABLE IF NOT EXISTS users (id bigint, nick text);", "nick is not in it"),
        ("CREATE TABLE IF NOT EXISTS users (id bigint, city varchar);", "city is text"),
        ("CREATE TABLE IF NOT EXISTS users (id bigint, city text);", ""),
        ("ALTER TABLE users ADD IF NOT EXISTS age bigint;", "it is integer, not bigint"),
        ("ALTER TABLE users ADD IF NOT EXISTS age int NOT NULL DEFAULT 1;", "is not NOT NULL"),
        ("ALTER TABLE users ADD IF NOT EXISTS age int;", ""),
        ("CREATE INDEX IF NOT EXISTS orders_user_id_idx ON orders (total);", "another one"),
        ("CREATE INDEX IF NOT EXISTS orders_user_id_idx ON users (city);", "it is on orders"),
        ("CREATE INDEX IF NOT EXISTS orders_user_id_idx ON orders (user_id);", ""),
    ],
)
def test_if_not_exists_is_found_where_another_shape_is_there(
    sql: str, differs: str, look: Look
) -> None:
    found = [item.message for item in look(sql).findings if item.rule.id == "TB701"]
    assert (differs in found[0]) if differs else found == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DROP VIEW people;\nCREATE VIEW people AS SELECT id FROM users;", "without city"),
        ("DROP VIEW people;\nCREATE VIEW people AS SELECT city, id FROM users;", "another order"),
        ("DROP VIEW people;\nCREATE VIEW people AS SELECT id, age, city FROM users;", ""),
        ("DROP VIEW people;\nCREATE VIEW people (a, b) AS SELECT id, city FROM users;", "id, city"),
    ],
)
def test_a_view_that_is_made_again_keeps_its_columns(sql: str, said: str, look: Look) -> None:
    given = "CREATE VIEW people AS SELECT id, u.city FROM users u;"
    found = [item.message for item in look(given, "SELECT 1;", sql).findings]
    assert (said in found[0]) if said else found == []


def test_a_long_condition_is_found_and_its_suggestion_written(look: Look) -> None:
    # Each operand is inside the next one.
    check = "ALTER TABLE users ADD CHECK (age > {});"
    short, long = (
        look(check.format(" + ".join(["1"] * number))).findings[0] for number in (100, 450)
    )
    assert (short.rule.id, long.rule.id) == ("TB105", "TB105")
    assert (short.safer.count(" + 1"), long.safer.count(" + 1")) == (99, 449)


def test_a_new_key_column_is_one_finding(look: Look) -> None:
    report = look("ALTER TABLE users ADD COLUMN n bigserial PRIMARY KEY;")
    [finding] = report.findings
    assert finding.rule.id == "TB108"
    assert "ADD CONSTRAINT users_n_key PRIMARY KEY USING INDEX users_n_key" in finding.safer


def test_statements_that_must_be_apart_keep_their_order(look: Look) -> None:
    report = look(
        "ALTER TABLE users ADD n int;\nCREATE UNIQUE INDEX CONCURRENTLY c ON users (email);\n"
        "ALTER TABLE users ADD CONSTRAINT c UNIQUE USING INDEX c;"
    )
    [finding] = [item for item in report.findings if item.rule.id == "TB204"]
    assert finding.safer.splitlines() == [
        "ALTER TABLE users ADD n int;",
        NEXT,
        "CREATE UNIQUE INDEX CONCURRENTLY c ON users (email);",
        NEXT,
        "ALTER TABLE users ADD CONSTRAINT c UNIQUE USING INDEX c;",
    ]


def test_a_materialized_view_is_renamed_as_one(look: Look) -> None:
    made = "CREATE MATERIALIZED VIEW sums AS SELECT city FROM users;"
    rename = "ALTER MATERIALIZED VIEW sums RENAME TO totals;"
    [finding] = [item for item in look(made, rename).findings if item.rule.id == "TB402"]
    assert finding.safer.startswith(f"{rename}\n")
    assert "CREATE VIEW sums AS SELECT * FROM totals;" in finding.safer
