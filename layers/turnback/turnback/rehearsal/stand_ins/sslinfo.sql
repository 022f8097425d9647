-- The functions of sslinfo, as they answer in a session without TLS; the embedded Postgres has none.
-- control: comment = 'information about SSL certificates'
-- control: relocatable = true
-- versions: 1.0 1.1 1.2

CREATE FUNCTION ssl_is_used() RETURNS boolean LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT false';
CREATE FUNCTION ssl_client_cert_present() RETURNS boolean LANGUAGE sql STRICT
    PARALLEL RESTRICTED AS 'SELECT false';
CREATE FUNCTION ssl_version() RETURNS text LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_cipher() RETURNS text LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_client_serial() RETURNS numeric LANGUAGE sql STRICT
    PARALLEL RESTRICTED AS 'SELECT NULL::pg_catalog.numeric';
CREATE FUNCTION ssl_client_dn_field(text) RETURNS text LANGUAGE sql STRICT
    PARALLEL RESTRICTED AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_issuer_field(text) RETURNS text LANGUAGE sql STRICT
    PARALLEL RESTRICTED AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_client_dn() RETURNS text LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_issuer_dn() RETURNS text LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT NULL::pg_catalog.text';
CREATE FUNCTION ssl_extension_info(
    OUT name text, OUT value text, OUT critical boolean
) RETURNS SETOF record LANGUAGE sql STRICT PARALLEL RESTRICTED
    AS 'SELECT NULL::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.bool WHERE false';
