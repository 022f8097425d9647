-- Publications of tables, with columns, conditions and options.
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
CREATE TABLE u (id int PRIMARY KEY) PARTITION BY RANGE (id);
INSERT INTO t VALUES (1, 'a', 'b');
CREATE PUBLICATION "some" FOR TABLE t (id, a) WHERE (id > 0), u
    WITH (publish = 'insert, update', publish_via_partition_root = true);
CREATE PUBLICATION nothing;
COMMENT ON PUBLICATION "some" IS 'some';
-- changed
DROP PUBLICATION nothing; ALTER PUBLICATION "some" DROP TABLE u;
