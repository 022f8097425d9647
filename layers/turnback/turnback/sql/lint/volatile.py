"""Whether an expression may have another value for each row."""

from __future__ import annotations

from turnback.sql.lint.nodes import Node, dotted, walk

# Of PostgreSQL's own functions, those that defaults are made of and that are not VOLATILE
# (pg_proc.provolatile). A function that is not named here may be.
_STEADY = """
abs age array_append array_fill array_remove array_to_string btrim ceil ceiling char_length chr
coalesce concat concat_ws current_database current_schema current_setting date_part date_trunc
daterange decode digest encode extract floor format greatest initcap int4range int8range
json_build_array json_build_object json_object jsonb_build_array jsonb_build_object
jsonb_object left length lower lpad ltrim make_date make_interval make_time make_timestamp
make_timestamptz md5 mod now nullif numrange overlay power repeat replace right round
row_to_json rpad rtrim sha256 split_part statement_timestamp string_to_array substr substring
timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsvector
transaction_timestamp trim trunc tsrange tstzrange upper
"""

# Some that are.
KNOWN = frozenset(
    {
        "clock_timestamp",
        "gen_random_bytes",
        "gen_random_uuid",
        "nextval",
        "random",
        "timeofday",
        "uuid_generate_v1",
        "uuid_generate_v4",
        "uuidv4",
        "uuidv7",
    }
)


def volatile(expression: Node) -> str:
    """The function that may give each row another value; empty when there is none."""
    for kind, node in walk({"expression": expression}):
        if kind == "FuncCall" and (called := dotted(node["funcname"])) not in _STEADY.split():
            return called
    return ""
