-- Progress of the index that a backend builds, in its current phase (manual, 27.4.4).
SELECT phase,
       greatest(blocks_done, tuples_done) AS done,
       CASE WHEN blocks_done >= tuples_done THEN blocks_total ELSE tuples_total END AS total
  FROM pg_catalog.pg_stat_progress_create_index
 WHERE pid = %(pid)s;
