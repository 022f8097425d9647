-- What a backfill looks at between its batches: how far the last standby is behind, seconds; how
-- many sessions wait for locks; how many work; whether WAL cannot be archived.
SELECT (SELECT max(extract(epoch FROM r.replay_lag))::float8 FROM pg_catalog.pg_stat_replication r),
       (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.wait_event_type = 'Lock'),
       (SELECT count(*) FROM pg_catalog.pg_stat_activity a
         WHERE a.state = 'active' AND a.backend_type = 'client backend'
           AND a.pid <> pg_catalog.pg_backend_pid()),
       (SELECT w.last_failed_time > coalesce(w.last_archived_time, '-infinity')
          FROM pg_catalog.pg_stat_archiver w);
