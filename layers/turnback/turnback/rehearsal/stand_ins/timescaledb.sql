-- timescaledb: a hypertable stays an ordinary table with its index on time, and is recorded. The
-- options timescaledb.… of ALTER TABLE and CREATE MATERIALIZED VIEW are not known here.
-- control: comment = 'stand-in of turnback: timescaledb'
-- control: relocatable = false
-- versions: 2.9.3 2.10.0 2.11.2 2.13.1 2.14.2 2.15.3 2.16.1 2.17.2 2.18.2 2.19.3 2.20.3 2.21.4 2.22.1 2.23.0

CREATE SCHEMA _timescaledb_catalog;
CREATE SCHEMA timescaledb_information;
GRANT USAGE ON SCHEMA _timescaledb_catalog, timescaledb_information TO PUBLIC;
CREATE TABLE _timescaledb_catalog.hypertable (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, schema_name name NOT NULL,
    table_name name NOT NULL, time_column name NOT NULL, UNIQUE (schema_name, table_name));
CREATE TABLE _timescaledb_catalog.job (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY (START 1000), proc_name text NOT NULL,
    hypertable text, config jsonb, UNIQUE (proc_name, hypertable));
GRANT ALL ON ALL TABLES IN SCHEMA _timescaledb_catalog TO PUBLIC;
CREATE VIEW timescaledb_information.hypertables AS
    SELECT schema_name AS hypertable_schema, table_name AS hypertable_name
    FROM _timescaledb_catalog.hypertable;
CREATE VIEW timescaledb_information.jobs AS
    SELECT id AS job_id, proc_name, hypertable AS hypertable_name, config
    FROM _timescaledb_catalog.job;
GRANT SELECT ON ALL TABLES IN SCHEMA timescaledb_information TO PUBLIC;

CREATE TYPE _timescaledb_catalog.dimension_info AS (dimension text, column_name name, more text);
DO $make$
DECLARE
    kind text;
    more text;
BEGIN
    FOREACH kind IN ARRAY '{by_range,by_hash}'::text[] LOOP
        FOREACH more IN ARRAY CASE kind WHEN 'by_range' THEN '{interval,bigint}' ELSE '{integer}'
            END::text[] LOOP
            EXECUTE pg_catalog.format($f$
                CREATE FUNCTION %1$s(column_name name, partition_interval %2$s%3$s,
                    partition_func regproc DEFAULT NULL)
                RETURNS _timescaledb_catalog.dimension_info LANGUAGE sql IMMUTABLE AS
                    'SELECT ROW(''%1$s'', $1, $2)::_timescaledb_catalog.dimension_info' $f$,
                kind, more, CASE more WHEN 'interval' THEN ' DEFAULT NULL' ELSE '' END);
        END LOOP;
    END LOOP;
END $make$;
CREATE FUNCTION create_hypertable(
    relation regclass, time_column_name name, partitioning_column name DEFAULT NULL,
    number_partitions integer DEFAULT NULL, associated_schema_name name DEFAULT NULL,
    associated_table_prefix name DEFAULT NULL, chunk_time_interval anyelement DEFAULT NULL::bigint,
    create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    partitioning_func regproc DEFAULT NULL, migrate_data boolean DEFAULT false,
    chunk_target_size text DEFAULT NULL, chunk_sizing_func regproc DEFAULT NULL,
    time_partitioning_func regproc DEFAULT NULL,
    OUT hypertable_id integer, OUT schema_name name, OUT table_name name, OUT created boolean
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT n.nspname, c.relname INTO schema_name, table_name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation;
    INSERT INTO _timescaledb_catalog.hypertable AS h (schema_name, table_name, time_column)
    VALUES (create_hypertable.schema_name, create_hypertable.table_name, time_column_name)
    ON CONFLICT DO NOTHING RETURNING h.id INTO hypertable_id;
    created := FOUND;
    IF NOT created AND NOT if_not_exists THEN
        RAISE EXCEPTION 'table "%" is already a hypertable', table_name USING ERRCODE = 'TS110';
    END IF;
    EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', relation, time_column_name);
    IF created AND create_default_indexes THEN
        EXECUTE pg_catalog.format('CREATE INDEX ON %s (%I DESC)', relation, time_column_name);
    END IF;
END $$;
CREATE FUNCTION create_hypertable(
    relation regclass, dimension _timescaledb_catalog.dimension_info,
    create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    migrate_data boolean DEFAULT false, OUT hypertable_id integer, OUT created boolean
) LANGUAGE sql AS $$
    SELECT made.hypertable_id, made.created FROM @extschema@.create_hypertable(
        $1, ($2).column_name, create_default_indexes => $3, if_not_exists => $4) made
$$;
DO $make$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('retention', 'drop_after anyelement DEFAULT NULL::interval'),
        ('compression', 'compress_after anyelement DEFAULT NULL::interval'),
        ('columnstore', 'after anyelement DEFAULT NULL::interval'),
        ('continuous_aggregate', 'start_offset anyelement, end_offset anyelement'),
        ('reorder', 'index_name name')
    ) AS made (policy, arguments) LOOP
        EXECUTE pg_catalog.format($f$
            CREATE FUNCTION add_%1$s_policy(
                relation regclass, %2$s, schedule_interval interval DEFAULT NULL,
                if_not_exists boolean DEFAULT false, initial_start timestamptz DEFAULT NULL,
                timezone text DEFAULT NULL
            ) RETURNS integer LANGUAGE sql AS $$
                INSERT INTO _timescaledb_catalog.job (proc_name, hypertable)
                VALUES ('policy_%1$s', $1::pg_catalog.text) ON CONFLICT DO NOTHING RETURNING id
            $$;
            CREATE FUNCTION remove_%1$s_policy(relation regclass, if_exists boolean DEFAULT false)
            RETURNS void LANGUAGE sql AS $$
                DELETE FROM _timescaledb_catalog.job
                WHERE proc_name = 'policy_%1$s' AND hypertable = $1::pg_catalog.text
            $$;
        $f$, one.policy, one.arguments);
    END LOOP;
END $make$;
CREATE FUNCTION add_job(
    proc regproc, schedule_interval interval, config jsonb DEFAULT NULL,
    initial_start timestamptz DEFAULT NULL, scheduled boolean DEFAULT true,
    check_config regproc DEFAULT NULL, fixed_schedule boolean DEFAULT true, timezone text DEFAULT NULL
) RETURNS integer LANGUAGE sql AS $$
    INSERT INTO _timescaledb_catalog.job (proc_name, config) VALUES ($1::pg_catalog.text, $3)
    RETURNING id
$$;
CREATE FUNCTION delete_job(job_id integer) RETURNS void LANGUAGE sql
    AS 'DELETE FROM _timescaledb_catalog.job WHERE id = $1';
CREATE FUNCTION add_dimension(
    hypertable regclass, column_name name, number_partitions integer DEFAULT NULL,
    chunk_time_interval anyelement DEFAULT NULL::bigint, partitioning_func regproc DEFAULT NULL,
    if_not_exists boolean DEFAULT false
) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION add_dimension(
    hypertable regclass, dimension _timescaledb_catalog.dimension_info,
    if_not_exists boolean DEFAULT false
) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION set_chunk_time_interval(
    hypertable regclass, chunk_time_interval anyelement, dimension_name name DEFAULT NULL
) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION set_integer_now_func(
    hypertable regclass, integer_now_func regproc, replace_if_exists boolean DEFAULT false
) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION drop_chunks(
    relation regclass, older_than anyelement DEFAULT NULL::interval,
    newer_than anyelement DEFAULT NULL, "verbose" boolean DEFAULT false
) RETURNS SETOF text LANGUAGE sql AS 'SELECT NULL::pg_catalog.text WHERE false';
CREATE FUNCTION show_chunks(
    relation regclass, older_than anyelement DEFAULT NULL::interval, newer_than anyelement DEFAULT NULL
) RETURNS SETOF regclass LANGUAGE sql STABLE AS 'SELECT NULL::pg_catalog.regclass WHERE false';
CREATE FUNCTION compress_chunk(uncompressed_chunk regclass, if_not_compressed boolean DEFAULT true)
    RETURNS regclass LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION decompress_chunk(uncompressed_chunk regclass, if_compressed boolean DEFAULT true)
    RETURNS regclass LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE refresh_continuous_aggregate(
    continuous_aggregate regclass, window_start anyelement, window_end anyelement
) LANGUAGE sql AS '';
CREATE FUNCTION hypertable_size(hypertable regclass) RETURNS bigint LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.pg_total_relation_size($1)';
CREATE FUNCTION timescaledb_pre_restore() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION timescaledb_post_restore() RETURNS boolean LANGUAGE sql AS 'SELECT true';
DO $make$
DECLARE
    kind text;
    name text;
BEGIN
    FOREACH name IN ARRAY '{time_bucket,time_bucket_gapfill}'::text[] LOOP
        FOREACH kind IN ARRAY '{timestamptz,timestamp,date}'::text[] LOOP
            EXECUTE pg_catalog.format($f$
                CREATE FUNCTION %1$s(bucket_width interval, ts %2$s) RETURNS %2$s
                LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
                    SELECT (CASE WHEN $1 < '28 days' THEN
                        pg_catalog.date_bin($1, $2::timestamp, '2000-01-03')
                        ELSE pg_catalog.date_trunc('month', $2::timestamp) END)::%2$s
                $$
            $f$, name, kind);
        END LOOP;
        FOREACH kind IN ARRAY '{integer,bigint,smallint}'::text[] LOOP
            EXECUTE pg_catalog.format($f$
                CREATE FUNCTION %1$s(bucket_width %2$s, ts %2$s) RETURNS %2$s
                LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS 'SELECT $2 / $1 * $1'
            $f$, name, kind);
        END LOOP;
    END LOOP;
    FOREACH name IN ARRAY '{first,last}'::text[] LOOP
        EXECUTE pg_catalog.format($f$
            CREATE FUNCTION %1$s_sfunc(anyelement, anyelement, anycompatible) RETURNS anyelement
                LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT COALESCE($1, $2)';
            CREATE AGGREGATE %1$s(anyelement, anycompatible) (
                SFUNC = %1$s_sfunc, STYPE = anyelement);
        $f$, name);
    END LOOP;
END $make$;
