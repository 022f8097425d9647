-- How far a command of a backend is, in its current phase (manual, 27.4). A backend is in one of the
-- views at most.
SELECT command, phase, done, total
  FROM (SELECT pid, 'index' AS command, phase,
               greatest(blocks_done, tuples_done) AS done,
               CASE WHEN blocks_done >= tuples_done THEN blocks_total ELSE tuples_total END AS total
          FROM pg_catalog.pg_stat_progress_create_index
        UNION ALL
        SELECT pid, lower(command), phase, heap_blks_scanned, heap_blks_total
          FROM pg_catalog.pg_stat_progress_cluster
        UNION ALL
        SELECT pid, 'vacuum', phase,
               CASE phase WHEN 'vacuuming heap' THEN heap_blks_vacuumed ELSE heap_blks_scanned END,
               heap_blks_total
          FROM pg_catalog.pg_stat_progress_vacuum
        UNION ALL
        SELECT pid, 'analyze', phase, sample_blks_scanned, sample_blks_total
          FROM pg_catalog.pg_stat_progress_analyze
        UNION ALL
        SELECT pid, 'copy', to_char(tuples_processed, 'FM999,999,999,999,999') || ' rows',
               bytes_processed, bytes_total
          FROM pg_catalog.pg_stat_progress_copy) AS progress
 WHERE pid = %(pid)s
 LIMIT 1;
