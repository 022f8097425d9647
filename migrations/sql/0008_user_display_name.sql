-- Migration: user_display_name
-- Version: 0008
-- Date: 2024-05-06
-- users.full_name becomes users.display_name, in the safe steps: a RENAME would break the
-- application that is running. Expand: both columns exist, and a trigger keeps them equal, so
-- that the old and the new application can write side by side.

ALTER TABLE users ADD COLUMN display_name varchar(200);

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

ALTER TABLE users
    ADD CONSTRAINT users_display_name_filled CHECK (display_name IS NOT NULL) NOT VALID;
