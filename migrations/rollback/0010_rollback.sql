-- Migration: user_full_name_drop (rollback)
-- Version: 0010
-- Date: 2024-06-03
-- Brings full_name back with every name in it. PostgreSQL adds a column at the end only, and
-- full_name stood before display_name; so the column that holds the names takes the old name,
-- and a new display_name follows it. NOT NULL is set anew after the renaming, because
-- PostgreSQL 18 names that constraint after its column.

ALTER TABLE users ALTER COLUMN display_name DROP NOT NULL;
ALTER TABLE users RENAME COLUMN display_name TO full_name;
ALTER TABLE users ADD COLUMN display_name varchar(200);
UPDATE users SET display_name = full_name;
ALTER TABLE users ALTER COLUMN full_name SET NOT NULL;
ALTER TABLE users
    ADD CONSTRAINT users_display_name_filled CHECK (display_name IS NOT NULL);

CREATE FUNCTION users_sync_display_name() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.display_name := coalesce(NEW.display_name, NEW.full_name);
        NEW.full_name := coalesce(NEW.full_name, NEW.display_name);
    ELSIF NEW.display_name IS DISTINCT FROM OLD.display_name THEN
        NEW.full_name := NEW.display_name;
    ELSE
        NEW.display_name := NEW.full_name;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER users_sync_display_name
    BEFORE INSERT OR UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION users_sync_display_name();
