-- The functions of xml2, which the embedded Postgres is built without (it has no libxml). Each
-- gives NULL, or no row.
-- control: comment = 'stand-in of turnback: xml2'
-- control: relocatable = false
-- versions: 1.0 1.1 1.2

CREATE FUNCTION xml_valid(text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS 'SELECT NULL::pg_catalog.bool';
DO $make$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'xml_encode_special_chars(text)', 'xpath_string(text, text)', 'xslt_process(text, text)',
        'xslt_process(text, text, text)', 'xpath_nodeset(text, text)', 'xpath_list(text, text)',
        'xpath_nodeset(text, text, text)', 'xpath_nodeset(text, text, text, text)',
        'xpath_list(text, text, text)'
    ] LOOP
        EXECUTE 'CREATE FUNCTION ' || signature || ' RETURNS text LANGUAGE sql IMMUTABLE STRICT '
            'PARALLEL SAFE AS ''SELECT NULL::pg_catalog.text''';
    END LOOP;
END $make$;
CREATE FUNCTION xpath_number(text, text) RETURNS real LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS 'SELECT NULL::pg_catalog.float4';
CREATE FUNCTION xpath_bool(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS 'SELECT NULL::pg_catalog.bool';
