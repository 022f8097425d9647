-- Migration: user_display_name (rollback)
-- Version: 0008
-- Date: 2024-05-06
-- Takes the new column away. Nothing is lost: full_name has held the same names all along.

DROP TRIGGER users_sync_display_name ON users;
DROP FUNCTION users_sync_display_name();
ALTER TABLE users DROP CONSTRAINT users_display_name_filled;
ALTER TABLE users DROP COLUMN display_name;
