-- A database whose history is of format 1, as pg_dump wrote it: it has the migrations of test_history_format.py.
CREATE TABLE public.items (
    id integer
);
CREATE TABLE public.migrations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version character varying(20) NOT NULL,
    name character varying(255) NOT NULL,
    checksum character varying(64) NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    execution_time integer DEFAULT 0 NOT NULL,
    success boolean NOT NULL,
    error text,
    rolled_back_at timestamp with time zone
);
COMMENT ON TABLE public.migrations IS 'turnback history, format 1';
COMMENT ON COLUMN public.migrations.execution_time IS 'milliseconds';
CREATE VIEW public.migration_health AS
 SELECT migrations.version,
    migrations.name,
        CASE
            WHEN (migrations.rolled_back_at IS NOT NULL) THEN 'rolled_back'::text
            WHEN migrations.success THEN 'applied'::text
            ELSE 'failed'::text
        END AS status,
    migrations.applied_at,
    migrations.rolled_back_at,
    migrations.execution_time,
    migrations.error
   FROM public.migrations
  ORDER BY GREATEST(migrations.applied_at, migrations.rolled_back_at) DESC, (migrations.version)::numeric DESC;
CREATE TABLE public.migration_log (
    id bigint NOT NULL,
    logged_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    run_id text NOT NULL,
    release text,
    version character varying(20) NOT NULL,
    direction text NOT NULL,
    statement integer,
    statement_checksum character varying(64),
    outcome text NOT NULL,
    sqlstate character(5),
    error text,
    execution_ms integer DEFAULT 0 NOT NULL,
    actor text NOT NULL,
    rollback_path text,
    rollback_sql text,
    CONSTRAINT migration_log_direction_check CHECK ((direction = ANY (ARRAY['up'::text, 'down'::text, 'repair'::text]))),
    CONSTRAINT migration_log_outcome_check CHECK ((outcome = ANY (ARRAY['started'::text, 'done'::text, 'failed'::text, 'detached'::text])))
);
COMMENT ON TABLE public.migration_log IS 'turnback: every attempt, append only';
ALTER TABLE public.migration_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.migration_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.users (
    id integer NOT NULL,
    name text
);
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-30 10:55:04.451821+00', 'r-20261130T105504Z-52fc0d', NULL, '0001', 'up', NULL, NULL, 'done', NULL, NULL, 4, 'ann@laptop', 'rollback/0001_rollback.sql', 'DROP TABLE users;
');
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (2, '2026-11-30 10:55:04.463771+00', 'r-20261130T105504Z-52fc0d', NULL, '0009', 'up', NULL, NULL, 'done', NULL, NULL, 1, 'ann@laptop', 'rollback/0009_rollback.sql', 'DROP TABLE items;
');
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (3, '2026-11-30 10:55:04.464353+00', 'r-20261130T105504Z-52fc0d', NULL, '0010', 'up', NULL, NULL, 'done', NULL, NULL, 0, 'ann@laptop', 'rollback/0010_rollback.sql', 'ALTER TABLE items DROP COLUMN more;
');
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (4, '2026-11-30 10:55:05.591352+00', 'r-20261130T105505Z-08b9ec', NULL, '0002', 'up', NULL, NULL, 'done', NULL, NULL, 5, 'ann@laptop', 'rollback/0002_rollback.sql', 'ALTER TABLE users DROP COLUMN name;
');
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (5, '2026-11-30 10:55:06.678445+00', 'r-20261130T105506Z-7e67e1', NULL, '0010', 'down', NULL, NULL, 'done', NULL, NULL, 1, 'ann@laptop', NULL, NULL);
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (6, '2026-11-30 10:55:07.695675+00', 'r-20261130T105507Z-ef53d6', NULL, '0010', 'up', NULL, NULL, 'done', NULL, NULL, 1, 'ann@laptop', 'rollback/0010_rollback.sql', 'ALTER TABLE items DROP COLUMN more;
');
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (7, '2026-11-30 10:55:07.735873+00', 'r-20261130T105507Z-ef53d6', NULL, '0011', 'up', NULL, NULL, 'failed', '42P01', 'sql/0011_fails.sql:1:1: relation "nothing" does not exist', 0, 'ann@laptop', NULL, NULL);
INSERT INTO public.migration_log OVERRIDING SYSTEM VALUE VALUES (8, '2026-11-30 10:55:09.847918+00', 'r-20261130T105509Z-aa73a5', NULL, '0010', 'down', NULL, NULL, 'done', NULL, NULL, 1, 'ann@laptop', NULL, NULL);
INSERT INTO public.migrations VALUES ('d3102173-40d0-4f0e-9012-e3234c2198c8', '0001', 'users', '12a1ef51b20a6108acdcf70e2f8c3f6bfcda5eed26f31a00971d3c88a59b2439', '2026-11-30 10:55:04.451676+00', 3, true, NULL, NULL);
INSERT INTO public.migrations VALUES ('2b1427e8-3da1-4ed8-bce5-ace2cab22f63', '0009', 'items', '533ca67c304df8853d795c3d7fd7768b6bbc775563fb3bbeebc8e1a965b827a0', '2026-11-30 10:55:04.463739+00', 0, true, NULL, NULL);
INSERT INTO public.migrations VALUES ('8cdcb79b-0033-4298-bf15-3b01b16fc6ec', '0002', 'name', '2d3109e4635a83756c65b154aa8f1e5c6ccd7c2ff4ec631c89943d9dd5cd9b24', '2026-11-30 10:55:05.59126+00', 5, true, NULL, NULL);
INSERT INTO public.migrations VALUES ('be6634fe-a1b6-485b-a82f-954c40c85417', '0011', 'fails', '6e9e45e83ee1b7c6e0fd0e8c3ef318d9f85d970c90219c90f3def0a82ff5b04c', '2026-11-30 10:55:07.735823+00', 0, false, 'sql/0011_fails.sql:1:1: relation "nothing" does not exist', NULL);
INSERT INTO public.migrations VALUES ('1fc70015-ae53-467e-9330-b00acbc5ea0c', '0010', 'more', 'a8176e65a0c7a8111af468e9bfcf77cb8e1f7a1abca3f4e597eb859e62c71f25', '2026-11-30 10:55:07.695605+00', 1, true, NULL, '2026-11-30 10:55:09.846894+00');
SELECT pg_catalog.setval('public.migration_log_id_seq', 8, true);
ALTER TABLE ONLY public.migration_log
    ADD CONSTRAINT migration_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_version_key UNIQUE (version);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX migration_log_version ON public.migration_log USING btree (version, id);
