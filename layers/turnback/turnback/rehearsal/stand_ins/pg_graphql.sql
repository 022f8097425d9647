-- pg_graphql: a query has no result. Its settings are comments, which anybody may write.
-- control: comment = 'stand-in of turnback: pg_graphql'
-- control: relocatable = false
-- control: schema = graphql
-- versions: 1.0.0 1.1.0 1.2.0 1.2.3 1.3.0 1.4.0 1.4.1 1.4.2 1.4.4 1.5.0 1.5.4 1.5.7 1.5.9 1.5.11

CREATE FUNCTION graphql.resolve(
    query text, variables jsonb DEFAULT '{}', "operationName" text DEFAULT NULL,
    extensions jsonb DEFAULT NULL
) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"data": null}'::pg_catalog.jsonb $$;
CREATE FUNCTION graphql.comment_directive(comment_ text) RETURNS jsonb LANGUAGE sql IMMUTABLE
    AS $$ SELECT COALESCE((pg_catalog.regexp_match($1, '@graphql\((.+)\)'))[1], '{}')::pg_catalog.jsonb $$;
CREATE SEQUENCE graphql.seq_schema_version AS int CYCLE;
CREATE FUNCTION graphql.get_schema_version() RETURNS int LANGUAGE sql
    AS 'SELECT last_value::pg_catalog.int4 FROM graphql.seq_schema_version';
