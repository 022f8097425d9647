-- Where the real pgcrypto could not be fetched: the same signatures. Random values and the digests
-- of the core are computed; the rest raises an error.
-- control: comment = 'stand-in of turnback: pgcrypto, without what the core has no function for'
-- control: relocatable = false
-- versions: 1.0 1.1 1.2 1.3 1.4

CREATE FUNCTION unavailable(what text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'pgcrypto''s % is not available in the embedded Postgres', what
        USING HINT = 'rehearse where pgcrypto can be downloaded once, or on a server that has it: '
            '--shadow-url';
END $$;

CREATE FUNCTION gen_random_uuid() RETURNS uuid LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.gen_random_uuid()';

CREATE FUNCTION gen_random_bytes(integer) RETURNS bytea LANGUAGE sql VOLATILE STRICT AS $$
    SELECT pg_catalog.substr(pg_catalog.string_agg(pg_catalog.sha256(
               pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
               || pg_catalog.uuid_send(pg_catalog.gen_random_uuid())), ''::bytea), 1, $1)
      FROM pg_catalog.generate_series(0, $1 / 32)
$$;

CREATE FUNCTION digest(bytea, text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    CASE pg_catalog.lower($2)
        WHEN 'md5' THEN RETURN pg_catalog.decode(pg_catalog.md5($1), 'hex');
        WHEN 'sha224' THEN RETURN pg_catalog.sha224($1);
        WHEN 'sha256' THEN RETURN pg_catalog.sha256($1);
        WHEN 'sha384' THEN RETURN pg_catalog.sha384($1);
        WHEN 'sha512' THEN RETURN pg_catalog.sha512($1);
        ELSE RAISE EXCEPTION 'digest(%) is not available in the embedded Postgres', $2;
    END CASE;
END $$;
CREATE FUNCTION digest(text, text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    CASE pg_catalog.lower($2)
        WHEN 'md5' THEN RETURN pg_catalog.decode(pg_catalog.md5($1), 'hex');
        WHEN 'sha224' THEN RETURN pg_catalog.sha224(pg_catalog.convert_to($1, 'UTF8'));
        WHEN 'sha256' THEN RETURN pg_catalog.sha256(pg_catalog.convert_to($1, 'UTF8'));
        WHEN 'sha384' THEN RETURN pg_catalog.sha384(pg_catalog.convert_to($1, 'UTF8'));
        WHEN 'sha512' THEN RETURN pg_catalog.sha512(pg_catalog.convert_to($1, 'UTF8'));
        ELSE RAISE EXCEPTION 'digest(%) is not available in the embedded Postgres', $2;
    END CASE;
END $$;

CREATE FUNCTION gen_salt(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('gen_salt'); END $$;
CREATE FUNCTION gen_salt(text, integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('gen_salt'); END $$;
CREATE FUNCTION crypt(text, text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('crypt'); END $$;
CREATE FUNCTION hmac(text, text, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('hmac'); END $$;
CREATE FUNCTION hmac(bytea, bytea, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('hmac'); END $$;
CREATE FUNCTION encrypt(bytea, bytea, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('encrypt'); END $$;
CREATE FUNCTION decrypt(bytea, bytea, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('decrypt'); END $$;
CREATE FUNCTION encrypt_iv(bytea, bytea, bytea, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('encrypt_iv'); END $$;
CREATE FUNCTION decrypt_iv(bytea, bytea, bytea, text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('decrypt_iv'); END $$;
CREATE FUNCTION pgp_sym_encrypt(text, text, text DEFAULT '') RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('pgp_sym_encrypt'); END $$;
CREATE FUNCTION pgp_sym_decrypt(bytea, text, text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('pgp_sym_decrypt'); END $$;
CREATE FUNCTION pgp_pub_encrypt(text, bytea, text DEFAULT '') RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('pgp_pub_encrypt'); END $$;
CREATE FUNCTION pgp_pub_decrypt(bytea, bytea, text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('pgp_pub_decrypt'); END $$;
CREATE FUNCTION armor(bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM @extschema@.unavailable('armor'); END $$;
CREATE FUNCTION dearmor(text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RETURN @extschema@.unavailable('dearmor'); END $$;
