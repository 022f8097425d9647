-- supabase_vault: secrets are kept as they are, and not encrypted.
-- control: comment = 'stand-in of turnback: supabase_vault'
-- control: relocatable = false
-- control: schema = vault
-- versions: 0.2.8 0.2.9 0.3.0 0.3.1

CREATE TABLE vault.secrets (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(), name text,
    description text NOT NULL DEFAULT '', secret text NOT NULL, key_id uuid, nonce bytea,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE UNIQUE INDEX secrets_name_idx ON vault.secrets (name) WHERE name IS NOT NULL;
CREATE VIEW vault.decrypted_secrets AS
    SELECT id, name, description, secret, secret AS decrypted_secret, key_id, nonce, created_at,
        updated_at
    FROM vault.secrets;
CREATE FUNCTION vault.create_secret(
    new_secret text, new_name text DEFAULT NULL, new_description text DEFAULT '',
    new_key_id uuid DEFAULT NULL
) RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO vault.secrets (secret, name, description, key_id) VALUES ($1, $2, $3, $4)
    RETURNING id
$$;
CREATE FUNCTION vault.update_secret(
    secret_id uuid, new_secret text DEFAULT NULL, new_name text DEFAULT NULL,
    new_description text DEFAULT NULL, new_key_id uuid DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    UPDATE vault.secrets s SET secret = COALESCE($2, s.secret), name = COALESCE($3, s.name),
        description = COALESCE($4, s.description), key_id = COALESCE($5, s.key_id),
        updated_at = CURRENT_TIMESTAMP
    WHERE id = $1
$$;
GRANT USAGE ON SCHEMA vault TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA vault TO PUBLIC;
