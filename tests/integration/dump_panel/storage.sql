-- Storage parameters, compression, replica identity, clustering.
CREATE TABLE t (id int NOT NULL, a text, b text, c text COMPRESSION pglz)
    WITH (fillfactor = 60, autovacuum_enabled = off, toast.autovacuum_enabled = off,
          toast_tuple_target = 256, parallel_workers = 2);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE MAIN, ALTER b SET STATISTICS 5;
CREATE UNIQUE INDEX t_id ON t (id) WITH (fillfactor = 50, deduplicate_items = off);
CREATE INDEX t_gin ON t USING gin (to_tsvector('simple', a)) WITH (fastupdate = off);
CREATE INDEX t_brin ON t USING brin (id) WITH (pages_per_range = 4, autosummarize = on);
CREATE INDEX t_part ON t (lower(a) DESC NULLS LAST) INCLUDE (b) WHERE id > 0;
ALTER TABLE t REPLICA IDENTITY USING INDEX t_id;
ALTER TABLE t CLUSTER ON t_id;
CREATE TABLE full_one (id int); ALTER TABLE full_one REPLICA IDENTITY FULL;
CREATE TABLE none (id int PRIMARY KEY); ALTER TABLE none REPLICA IDENTITY NOTHING;
INSERT INTO t VALUES (1, 'a', 'b', 'c'), (2, repeat('x', 9000), NULL, NULL);
-- changed
ALTER TABLE t RESET (fillfactor), SET WITHOUT CLUSTER, REPLICA IDENTITY DEFAULT; DROP INDEX t_id;
