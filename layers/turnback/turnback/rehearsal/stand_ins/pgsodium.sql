-- pgsodium: keys have names, and nothing is encrypted.
-- control: comment = 'stand-in of turnback: pgsodium'
-- control: relocatable = false
-- control: schema = pgsodium
-- versions: 3.0.4 3.1.1 3.1.5 3.1.6 3.1.7 3.1.8 3.1.9

CREATE TYPE pgsodium.key_status AS ENUM ('default', 'valid', 'invalid', 'expired');
CREATE TYPE pgsodium.key_type AS ENUM (
    'aead-ietf', 'aead-det', 'hmacsha512', 'hmacsha256', 'auth', 'shorthash', 'generichash', 'kdf',
    'secretbox', 'secretstream', 'stream_xchacha20');
CREATE TABLE pgsodium.key (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(), name text UNIQUE,
    status pgsodium.key_status DEFAULT 'valid', key_type pgsodium.key_type,
    created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP, expires timestamptz
);
CREATE VIEW pgsodium.valid_key AS SELECT id, name, status, key_type, created, expires
    FROM pgsodium.key WHERE status IN ('valid', 'default');
CREATE FUNCTION pgsodium.create_key(
    key_type pgsodium.key_type DEFAULT 'aead-det', name text DEFAULT NULL
) RETURNS pgsodium.valid_key LANGUAGE sql AS $$
    INSERT INTO pgsodium.key (key_type, name) VALUES ($1, $2)
    RETURNING id, name, status, key_type, created, expires
$$;
