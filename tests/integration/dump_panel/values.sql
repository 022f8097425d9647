-- Values that are hard to write down.
CREATE TABLE t (n numeric, f float8, r real, ts timestamptz, d date, i interval, b bytea, s text, c char(5),
    bits bit varying, a text[], j json, jb jsonb, ip inet, m macaddr, p point, poly polygon,
    v tsvector, q tsquery, u uuid, mo money, rg numrange, mr datemultirange, lsn pg_lsn, t timetz, b2 int[][]);
INSERT INTO t (n, f, r, ts, d, i) VALUES ('NaN', 'NaN', '-Infinity', 'infinity', '-infinity', '1 mon'),
    ('Infinity', '-0', '1e-45', '4713-01-01 00:00:00+00 BC', '0044-03-15 BC', '-1 mons +2 days -03:04:05.000006'),
    ('1e-100', 0.1::float8 + 0.2, 0.1, '294276-12-31 23:59:59.999999+00', '5874897-12-31', '178000000 years');
INSERT INTO t (b, s, c, bits, a, b2) VALUES ('', '', '', '', '{}', '{{1,2},{3,4}}'),
    ('\x00', E'\\N', 'a', '101', '{NULL,"NULL","",a b,"{","\\"}', '[0:1][-1:0]={{1,2},{3,4}}'),
    ('\x5c2e0a', E'\\.\n\t\r\b\f\v', '     ', NULL, ARRAY[E'\n'], NULL);
INSERT INTO t (j, jb, ip, m, p, poly, v, q, u, mo, rg, mr, lsn, t) VALUES
    ('{"a" : 1,  "a": "\u0041"}', '{"b":1e400,"a":null}', '::1/64', '08:00:2b:01:02:03', '(NaN,1)',
     '((0,0),(1,1),(1,0))', '''a b'':1A,2', '!a & (b | c:*)', gen_random_uuid(), '-12.34', '(,5]', '{[2026-01-01,)}',
     '16/B374D848', '23:59:60-15:59');
-- changed
DELETE FROM t WHERE b IS NULL; UPDATE t SET s = NULL;
