-- Partitions of every kind, attached with other columns, with keys, triggers and a default.
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE kinds (kind text PRIMARY KEY);
INSERT INTO kinds VALUES ('a'), ('b'), ('z');
CREATE TABLE events (id int, at date, kind text DEFAULT 'z' REFERENCES kinds, body text,
    PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01')
    PARTITION BY HASH (id);
CREATE TABLE events_2025_0 PARTITION OF events_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2025_1 PARTITION OF events_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_2026 (gone int, body text, at date NOT NULL, kind text DEFAULT 'a', id int NOT NULL);
ALTER TABLE events_2026 DROP COLUMN gone;
ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT PARTITION BY LIST (id);
CREATE TABLE events_rest_a PARTITION OF events_rest FOR VALUES IN (1, 88, 89);
CREATE TABLE events_rest_z PARTITION OF events_rest DEFAULT;
CREATE TABLE events_gone PARTITION OF events FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
ALTER TABLE events DETACH PARTITION events_gone;
CREATE INDEX by_kind ON events (kind);
CREATE INDEX half ON ONLY events (body);
CREATE INDEX events_2026_body ON events_2026 (body);
ALTER INDEX half ATTACH PARTITION events_2026_body;
CREATE TRIGGER seen BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION seen();
ALTER TABLE events_2026 DISABLE TRIGGER seen;
CREATE TABLE notes (event int, at date, FOREIGN KEY (event, at) REFERENCES events);
INSERT INTO events (id, at, kind)
    SELECT n, '2025-12-01'::date + n * 9, (array['a', 'b', 'z'])[1 + n % 3] FROM generate_series(1, 90) n;
INSERT INTO notes SELECT id, at FROM events;
-- changed
DROP TABLE notes, events_2026; ALTER TABLE events DETACH PARTITION events_rest; DELETE FROM events;
