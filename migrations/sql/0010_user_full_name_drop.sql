-- Migration: user_full_name_drop
-- Version: 0010
-- Date: 2024-06-03
-- Contract: no running application reads or writes full_name any more, so the trigger, the
-- check and the old column go, and display_name is NOT NULL by itself (the validated check is
-- the proof; no row is read).

ALTER TABLE users ALTER COLUMN display_name SET NOT NULL;
ALTER TABLE users DROP CONSTRAINT users_display_name_filled;
DROP TRIGGER users_sync_display_name ON users;
DROP FUNCTION users_sync_display_name();
-- turnback: waive TB401 because no running application uses full_name, and display_name has it
ALTER TABLE users DROP COLUMN full_name;
