-- pg_cron: jobs are recorded, and never run.
-- control: comment = 'stand-in of turnback: pg_cron'
-- control: relocatable = false
-- control: schema = pg_catalog
-- versions: 1.0 1.1 1.2 1.3 1.4 1.5 1.6

CREATE SCHEMA cron;
GRANT USAGE ON SCHEMA cron TO PUBLIC;
CREATE SEQUENCE cron.jobid_seq;
CREATE SEQUENCE cron.runid_seq;
CREATE TABLE cron.job (
    jobid bigint PRIMARY KEY DEFAULT pg_catalog.nextval('cron.jobid_seq'),
    schedule text NOT NULL, command text NOT NULL, nodename text NOT NULL DEFAULT 'localhost',
    nodeport integer NOT NULL DEFAULT 5432,
    database text NOT NULL DEFAULT pg_catalog.current_database(),
    username text NOT NULL DEFAULT CURRENT_USER, active boolean NOT NULL DEFAULT true, jobname text,
    CONSTRAINT jobname_username_uniq UNIQUE (jobname, username)
);
CREATE TABLE cron.job_run_details (
    jobid bigint, runid bigint PRIMARY KEY DEFAULT pg_catalog.nextval('cron.runid_seq'),
    job_pid integer, database text, username text, command text, status text, return_message text,
    start_time timestamptz, end_time timestamptz
);
GRANT ALL ON ALL TABLES IN SCHEMA cron TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA cron TO PUBLIC;

CREATE FUNCTION cron.schedule_in_database(
    job_name text, schedule text, command text, database text, username text DEFAULT NULL,
    active boolean DEFAULT true
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO cron.job AS j (jobname, schedule, command, database, username, active)
    VALUES ($1, $2, $3, $4, COALESCE($5, CURRENT_USER), $6)
    ON CONFLICT ON CONSTRAINT jobname_username_uniq DO UPDATE
        SET schedule = excluded.schedule, command = excluded.command, active = excluded.active
    RETURNING j.jobid
$$;
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint
LANGUAGE sql AS $$
    SELECT cron.schedule_in_database($1, $2, $3, pg_catalog.current_database()::pg_catalog.text)
$$;
CREATE FUNCTION cron.schedule(schedule text, command text) RETURNS bigint LANGUAGE sql
    AS 'SELECT cron.schedule(NULL, $1, $2)';
CREATE FUNCTION cron.alter_job(
    job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL, database text DEFAULT NULL,
    username text DEFAULT NULL, active boolean DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    UPDATE cron.job j SET schedule = COALESCE($2, j.schedule), command = COALESCE($3, j.command),
        database = COALESCE($4, j.database), username = COALESCE($5, j.username),
        active = COALESCE($6, j.active)
    WHERE jobid = $1
$$;
DO $make$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES ('job_id bigint', 'jobid'), ('job_name text', 'jobname'))
        AS made (argument, key) LOOP
        EXECUTE pg_catalog.format($f$
CREATE FUNCTION cron.unschedule(%1$s) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cron.job WHERE %2$s = $1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'could not find valid entry for job %%', pg_catalog.quote_literal($1);
    END IF;
    RETURN true;
END $$
        $f$, one.argument, one.key);
    END LOOP;
END $make$;
