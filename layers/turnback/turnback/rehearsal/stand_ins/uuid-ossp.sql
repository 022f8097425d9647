-- The functions of uuid-ossp, which the embedded Postgres is built without, written in SQL: the same
-- signatures and the same results (RFC 9562, 5.1 to 5.5). The node of a time-based uuid is random
-- in each, not the address of the machine.
-- control: comment = 'generate universally unique identifiers (UUIDs)'
-- control: relocatable = true
-- versions: 1.0 1.1

CREATE FUNCTION uuid_nil() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid$$;
CREATE FUNCTION uuid_ns_dns() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid$$;
CREATE FUNCTION uuid_ns_url() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid$$;
CREATE FUNCTION uuid_ns_oid() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid$$;
CREATE FUNCTION uuid_ns_x500() RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid$$;

CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
    AS 'SELECT pg_catalog.gen_random_uuid()';

-- Steps of 100 nanoseconds since 1582-10-15; the last 64 bits are random but for the variant.
DO $make$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{uuid_generate_v1,uuid_generate_v1mc}'::text[] LOOP
        EXECUTE pg_catalog.format($f$
CREATE FUNCTION %s() RETURNS uuid LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE AS $$
DECLARE
    steps bigint := 122192928000000000
        + (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 10000000)::bigint;
    hex text := pg_catalog.lpad(pg_catalog.to_hex(steps), 16, '0');
    rest bytea := pg_catalog.substr(
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()), 9);
BEGIN
    -- A node that is no address of a machine has the lowest bit of its first byte set.
    rest := pg_catalog.set_byte(rest, 2, pg_catalog.get_byte(rest, 2) | 1);
    RETURN (pg_catalog.substr(hex, 9, 8) || pg_catalog.substr(hex, 5, 4) || '1'
        || pg_catalog.substr(hex, 2, 3) || pg_catalog.encode(rest, 'hex'))::uuid;
END $$
        $f$, name);
    END LOOP;
END $make$;

CREATE FUNCTION uuid_generate_v3(namespace uuid, name text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    hash bytea := pg_catalog.decode(pg_catalog.md5(
        pg_catalog.uuid_send(namespace) || pg_catalog.convert_to(name, 'UTF8')), 'hex');
BEGIN
    hash := pg_catalog.set_byte(hash, 6, pg_catalog.get_byte(hash, 6) & 15 | 48);
    hash := pg_catalog.set_byte(hash, 8, pg_catalog.get_byte(hash, 8) & 63 | 128);
    RETURN pg_catalog.encode(hash, 'hex')::uuid;
END $$;

-- SHA-1 as in FIPS 180-4, 6.1.2; the core has no function for it.
CREATE FUNCTION uuid_generate_v5(namespace uuid, name text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    mask CONSTANT bigint := 4294967295;
    text_ bytea := pg_catalog.uuid_send(namespace) || pg_catalog.convert_to(name, 'UTF8');
    length_ bigint := pg_catalog.length(text_);
    h bigint[] := '{1732584193,4023233417,2562383102,271733878,3285377520}';
    w bigint[];
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
    hash bytea := '';
BEGIN
    text_ := text_ || '\x80'
        || pg_catalog.decode(pg_catalog.repeat('00', ((119 - length_ % 64) % 64)::int), 'hex')
        || pg_catalog.int8send(length_ * 8);
    FOR block IN 0 .. pg_catalog.length(text_) / 64 - 1 LOOP
        FOR i IN 0 .. 15 LOOP
            w[i] := ('x' || pg_catalog.encode(
                pg_catalog.substr(text_, block * 64 + i * 4 + 1, 4), 'hex'))::bit(32)::bigint & mask;
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & mask;
        END LOOP;
        a := h[1]; b := h[2]; c := h[3]; d := h[4]; e := h[5];
        FOR i IN 0 .. 79 LOOP
            IF i < 20 THEN f := (b & c) | ((~ b) & d & mask); k := 1518500249;
            ELSIF i < 40 THEN f := b # c # d; k := 1859775393;
            ELSIF i < 60 THEN f := (b & c) | (b & d) | (c & d); k := 2400959708;
            ELSE f := b # c # d; k := 3395469782;
            END IF;
            t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        END LOOP;
        h := ARRAY[
            (h[1] + a) & mask, (h[2] + b) & mask, (h[3] + c) & mask, (h[4] + d) & mask,
            (h[5] + e) & mask];
    END LOOP;
    FOR i IN 1 .. 4 LOOP
        hash := hash || pg_catalog.substr(pg_catalog.int8send(h[i]), 5);
    END LOOP;
    hash := pg_catalog.set_byte(hash, 6, pg_catalog.get_byte(hash, 6) & 15 | 80);
    hash := pg_catalog.set_byte(hash, 8, pg_catalog.get_byte(hash, 8) & 63 | 128);
    RETURN pg_catalog.encode(hash, 'hex')::uuid;
END $$;
