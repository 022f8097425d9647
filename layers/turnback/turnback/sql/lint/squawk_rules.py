"""What becomes of each of squawk's rules (2.70): taken, replaced by one of ours, or left out."""

from __future__ import annotations

# Its rule → ours. It finds the place, ours says what it means for our engine.
TAKEN = {
    "adding-required-field": "TB112",
    "ban-alter-domain-with-add-constraint": "TB111",
    "ban-set-schema": "TB402",
    "ban-truncate-cascade": "TB110",
    "identifier-too-long": "TB304",
    "renaming-column": "TB402",
    "renaming-object": "TB402",
    "renaming-table": "TB402",
    "require-concurrent-reindex": "TB102",
}

# Ours knows more: the tables, types, checks and indexes that the scripts before have made.
REPLACED = {
    "adding-field-with-default": "TB108",
    "adding-foreign-key-constraint": "TB104",
    "adding-not-nullable-field": "TB103",
    "adding-serial-primary-key-field": "TB107",
    "changing-column-type": "TB106",
    "constraint-missing-not-valid": "TB104, TB105",
    "disallowed-unique-constraint": "TB107",
    "prefer-repack": "TB109",
    "require-concurrent-index-creation": "TB101",
    "syntax-error": "TB901",
}

_ENGINE = "the engine does it"
_RUNS = "the engine runs each file in a transaction and refuses one that ends it"
_SHORT = "a lock for an instant, and the engine's lock timeout covers the wait for it"
_STYLE = "a matter of the schema's design: no release stops for it"
_LATER = "fine once nothing uses it, which SQL cannot tell; TB401 finds what the scripts tell"
_PROOF = "the rehearsal says what is lost, and the policy asks for approval"
_MEANT = "what the migration is for"

# Why the others are left out.
LEFT_OUT = {
    "prefer-robust-stmts": "each file is atomic, and what is not is healed from the catalog; "
    "IF EXISTS would hide a schema that is not as expected",
    "require-lock-timeout": _ENGINE,
    "require-statement-timeout": _ENGINE,
    "require-timeout-settings": _ENGINE,
    "ban-concurrent-index-creation-in-transaction": "the engine runs such a file outside a "
    "transaction; TB204 finds a mixture",
    "transaction-nesting": _RUNS,
    "ban-uncommitted-transaction": _RUNS,
    "require-concurrent-index-deletion": _SHORT,
    "require-concurrent-partition-detach": _SHORT,
    "ban-alter-generated-expression": _MEANT,
    "ban-alter-identity": _MEANT,
    "ban-alter-sequence-values": _MEANT,
    "ban-disable-trigger": _MEANT,
    "ban-duplicate-column-assignments": "the server refuses it, and so does the rehearsal",
    "ban-drop-column": _LATER,
    "ban-drop-table": _LATER,
    "ban-drop-constraint": _LATER,
    "ban-drop-default": _LATER,
    "ban-drop-domain": _LATER,
    "ban-drop-extension": _LATER,
    "ban-drop-function": _LATER,
    "ban-drop-generated-expression": _LATER,
    "ban-drop-index": _LATER,
    "ban-drop-not-null": _LATER,
    "ban-drop-policy": _LATER,
    "ban-drop-schema": _PROOF,
    "ban-drop-database": _PROOF,
    "ban-drop-sequence": _LATER,
    "ban-drop-trigger": _LATER,
    "ban-drop-type": _LATER,
    "ban-drop-view": _LATER,
    "ban-add-column": _MEANT,
    "ban-add-composite-attribute": _MEANT,
    "ban-add-enum-value": _MEANT,
    "ban-alter-database-options": _MEANT,
    "ban-alter-extension": _MEANT,
    "ban-alter-function-options": _MEANT,
    "ban-alter-policy-condition": _MEANT,
    "ban-alter-policy-roles": _MEANT,
    "ban-alter-role-options": _MEANT,
    "ban-alter-row-level-security": _MEANT,
    "ban-alter-system-options": _MEANT,
    "ban-alter-view-options": _MEANT,
    "ban-create-policy": _MEANT,
    "ban-detach-inheritance": _MEANT,
    "ban-new-write-restriction": _MEANT,
    "ban-replace-view-function": _MEANT,
    "ban-replica-identity": _MEANT,
    "ban-revoke": _MEANT,
    "ban-set-default": _MEANT,
    "ban-char-field": _STYLE,
    "ban-create-domain-with-constraint": _STYLE,
    "prefer-bigint-over-int": _STYLE,
    "prefer-bigint-over-smallint": _STYLE,
    "prefer-identity": _STYLE,
    "prefer-text-field": _STYLE,
    "prefer-timestamp-tz": _STYLE,
    "require-enum-value-ordering": _STYLE,
    "require-table-schema": _STYLE,
    "unused-ignore": "its own comments are not obeyed: a waiver needs a reason",
}
