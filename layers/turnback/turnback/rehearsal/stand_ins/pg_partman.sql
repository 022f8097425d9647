-- pg_partman: of a partitioned table only the default partition and the template are made, and the
-- configuration is recorded. Both the signatures of version 4 and of version 5.
-- control: comment = 'stand-in of turnback: pg_partman'
-- control: relocatable = false
-- versions: 4.5.1 4.6.0 4.7.0 4.7.2 4.7.3 4.7.4 5.0.0 5.0.1 5.1.0 5.2.0 5.2.4 5.3.0

CREATE TABLE part_config (
    parent_table text PRIMARY KEY, control text NOT NULL, time_encoder text, time_decoder text,
    partition_interval text NOT NULL, partition_type text NOT NULL, premake integer NOT NULL DEFAULT 4,
    automatic_maintenance text NOT NULL DEFAULT 'on', template_table text, retention text,
    retention_schema text, retention_keep_index boolean NOT NULL DEFAULT true,
    retention_keep_table boolean NOT NULL DEFAULT true, epoch text NOT NULL DEFAULT 'none',
    constraint_cols text[], optimize_constraint integer NOT NULL DEFAULT 30,
    infinite_time_partitions boolean NOT NULL DEFAULT false, datetime_string text,
    jobmon boolean NOT NULL DEFAULT true, sub_partition_set_full boolean NOT NULL DEFAULT false,
    undo_in_progress boolean NOT NULL DEFAULT false, inherit_privileges boolean DEFAULT false,
    inherit_fk boolean NOT NULL DEFAULT true, upsert text NOT NULL DEFAULT '', publications text[],
    constraint_valid boolean NOT NULL DEFAULT true, ignore_default_data boolean NOT NULL DEFAULT true,
    date_trunc_interval text, default_table boolean DEFAULT true, maintenance_order integer,
    maintenance_last_run timestamptz, retention_keep_publication boolean NOT NULL DEFAULT false
);
CREATE TABLE part_config_sub (
    sub_parent text PRIMARY KEY, sub_control text NOT NULL, sub_partition_interval text NOT NULL,
    sub_partition_type text NOT NULL, sub_premake integer NOT NULL DEFAULT 4, sub_retention text,
    sub_retention_schema text, sub_retention_keep_table boolean NOT NULL DEFAULT true,
    sub_automatic_maintenance text NOT NULL DEFAULT 'on', sub_template_table text
);
GRANT ALL ON part_config, part_config_sub TO PUBLIC;

CREATE FUNCTION create_parent(
    p_parent_table text, p_control text, p_interval text, p_type text DEFAULT 'range',
    p_epoch text DEFAULT 'none', p_premake integer DEFAULT 4, p_start_partition text DEFAULT NULL,
    p_default_table boolean DEFAULT true, p_automatic_maintenance text DEFAULT 'on',
    p_constraint_cols text[] DEFAULT NULL, p_template_table text DEFAULT NULL,
    p_jobmon boolean DEFAULT true, p_date_trunc_interval text DEFAULT NULL,
    p_control_not_null boolean DEFAULT true, p_time_encoder text DEFAULT NULL,
    p_time_decoder text DEFAULT NULL, p_inherit_fk boolean DEFAULT true, p_upsert text DEFAULT '',
    p_publications text[] DEFAULT NULL, p_trigger_return_null boolean DEFAULT true,
    p_native_check text DEFAULT NULL, p_debug boolean DEFAULT false
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    parts text[] := pg_catalog.parse_ident(p_parent_table);
    template text := p_template_table;
    -- Version 4 has the kind before the interval.
    swapped boolean := p_interval IN ('native', 'partman', 'time-custom');
    kind text := CASE WHEN swapped THEN p_interval ELSE p_type END;
BEGIN
    IF p_default_table AND kind IN ('native', 'range') THEN
        EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %I.%I DEFAULT',
            parts[1], pg_catalog.left(parts[2], 55) || '_default', parts[1], parts[2]);
    END IF;
    IF template IS NULL AND kind <> 'partman' THEN
        template := pg_catalog.format('%I.%I', '@extschema@', pg_catalog.left(
            'template_' || parts[1] || '_' || parts[2], 63));
        EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %s (LIKE %I.%I)',
            template, parts[1], parts[2]);
    END IF;
    INSERT INTO @extschema@.part_config (
        parent_table, control, partition_interval, partition_type, premake, automatic_maintenance,
        template_table, epoch, constraint_cols, jobmon, inherit_fk, upsert, publications, default_table
    ) VALUES (
        p_parent_table, p_control, CASE WHEN swapped THEN p_type ELSE p_interval END, kind, p_premake,
        p_automatic_maintenance, template, p_epoch, p_constraint_cols, p_jobmon, p_inherit_fk,
        p_upsert, p_publications, p_default_table
    );
    RETURN true;
END $$;
CREATE FUNCTION create_sub_parent(
    p_top_parent text, p_control text, p_interval text, p_type text DEFAULT 'range',
    p_default_table boolean DEFAULT true, p_declarative_check text DEFAULT NULL,
    p_constraint_cols text[] DEFAULT NULL, p_premake integer DEFAULT 4,
    p_start_partition text DEFAULT NULL, p_epoch text DEFAULT 'none', p_jobmon boolean DEFAULT true,
    p_date_trunc_interval text DEFAULT NULL, p_native_check text DEFAULT NULL
) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO @extschema@.part_config_sub (
        sub_parent, sub_control, sub_partition_interval, sub_partition_type, sub_premake
    ) VALUES ($1, $2, $3, $4, $8) RETURNING true
$$;
CREATE FUNCTION run_maintenance(
    p_parent_table text DEFAULT NULL, p_analyze boolean DEFAULT false, p_jobmon boolean DEFAULT true
) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE run_maintenance_proc(
    p_wait integer DEFAULT 0, p_analyze boolean DEFAULT false, p_jobmon boolean DEFAULT true
) LANGUAGE sql AS '';
CREATE PROCEDURE partition_data_proc(
    p_parent_table text, p_loop_count integer DEFAULT NULL, p_interval text DEFAULT NULL,
    p_lock_wait integer DEFAULT 0, p_lock_wait_tries integer DEFAULT 10, p_wait integer DEFAULT 1,
    p_order text DEFAULT 'ASC', p_source_table text DEFAULT NULL,
    p_ignored_columns text[] DEFAULT NULL, p_quiet boolean DEFAULT false
) LANGUAGE sql AS '';
CREATE FUNCTION partition_gap_fill(p_parent_table text) RETURNS integer LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION check_default(p_exact_count boolean DEFAULT true)
RETURNS TABLE (default_table text, count bigint) LANGUAGE sql
    AS 'SELECT NULL::pg_catalog.text, NULL::pg_catalog.int8 WHERE false';
CREATE FUNCTION reapply_privileges(p_parent_table text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION stop_sub_partition(p_parent_table text, p_jobmon boolean DEFAULT true)
RETURNS boolean LANGUAGE sql AS $$
    DELETE FROM @extschema@.part_config_sub WHERE sub_parent = $1;
    SELECT true
$$;
CREATE FUNCTION show_partitions(
    p_parent_table text, p_order text DEFAULT 'ASC', p_include_default boolean DEFAULT false
) RETURNS TABLE (partition_schemaname text, partition_tablename text) LANGUAGE sql STABLE AS $$
    SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = $1::pg_catalog.regclass AND ($3 OR c.relname !~ '_default$')
$$;
