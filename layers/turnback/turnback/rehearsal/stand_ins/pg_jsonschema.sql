-- pg_jsonschema: every document matches every schema.
-- control: comment = 'stand-in of turnback: pg_jsonschema'
-- control: relocatable = true
-- versions: 0.1.4 0.2.0 0.3.0 0.3.1 0.3.3

CREATE FUNCTION json_matches_schema(schema json, instance json) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT true';
CREATE FUNCTION jsonb_matches_schema(schema json, instance jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT true';
CREATE FUNCTION jsonschema_is_valid(schema json) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT true';
CREATE FUNCTION jsonschema_validation_errors(schema json, instance json) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT '{}'::pg_catalog.text[] $$;
