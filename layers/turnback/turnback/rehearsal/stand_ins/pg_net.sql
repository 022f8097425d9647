-- pg_net: requests are recorded, and never sent.
-- control: comment = 'stand-in of turnback: pg_net'
-- control: relocatable = false
-- versions: 0.6 0.7 0.7.1 0.7.3 0.8.0 0.9.1 0.10.0 0.11.0 0.13.0 0.14.0 0.19.5

CREATE SCHEMA net;
GRANT USAGE ON SCHEMA net TO PUBLIC;
CREATE DOMAIN net.http_method AS text CHECK (
    value ILIKE 'get' OR value ILIKE 'post' OR value ILIKE 'delete');
CREATE TYPE net.request_status AS ENUM ('PENDING', 'SUCCESS', 'ERROR');
CREATE TYPE net.http_response AS (status_code integer, headers jsonb, body text);
CREATE TYPE net.http_response_result AS (
    status net.request_status, message text, response net.http_response);
CREATE UNLOGGED TABLE net.http_request_queue (
    id bigserial, method net.http_method NOT NULL, url text NOT NULL, headers jsonb, body bytea,
    timeout_milliseconds integer NOT NULL);
CREATE UNLOGGED TABLE net._http_response (
    id bigint, status_code integer, content_type text, headers jsonb, content text, timed_out boolean,
    error_msg text, created timestamptz NOT NULL DEFAULT pg_catalog.now());
GRANT ALL ON ALL TABLES IN SCHEMA net TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA net TO PUBLIC;
DO $make$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('GET', 'url text, params jsonb DEFAULT ''{}'', headers jsonb DEFAULT ''{}'', ', 'NULL'),
        ('POST', 'url text, body jsonb DEFAULT ''{}'', params jsonb DEFAULT ''{}'', '
            'headers jsonb DEFAULT ''{"Content-Type": "application/json"}'', ',
            'pg_catalog.convert_to(body::pg_catalog.text, ''UTF8'')'),
        ('DELETE', 'url text, params jsonb DEFAULT ''{}'', headers jsonb DEFAULT ''{}'', ', 'NULL')
    ) AS made (method, arguments, body) LOOP
        EXECUTE pg_catalog.format($f$
            CREATE FUNCTION net.http_%1$s(%3$s timeout_milliseconds integer DEFAULT 5000)
            RETURNS bigint LANGUAGE sql AS $$
                INSERT INTO net.http_request_queue (method, url, headers, body, timeout_milliseconds)
                VALUES (%2$L, url, headers, %4$s, timeout_milliseconds) RETURNING id
            $$
        $f$, pg_catalog.lower(one.method), one.method, one.arguments, one.body);
    END LOOP;
END $make$;
CREATE FUNCTION net.http_collect_response(request_id bigint, async boolean DEFAULT true)
RETURNS net.http_response_result LANGUAGE sql AS $$
    SELECT ROW('PENDING', 'request is pending processing', NULL)::net.http_response_result
$$;
CREATE FUNCTION net.worker_restart() RETURNS boolean LANGUAGE sql AS 'SELECT true';
