-- Values of XML.
CREATE TABLE t (x xml, g text GENERATED ALWAYS AS (xmlserialize(CONTENT x AS text)) STORED);
INSERT INTO t (x) VALUES ('<a b="&lt;">x</a>'), ('text'), (NULL);
-- changed
DELETE FROM t;
