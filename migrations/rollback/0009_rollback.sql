-- Migration: user_display_name_fill (rollback)
-- Version: 0009
-- Date: 2024-05-07
-- A constraint cannot be unvalidated, so it is made anew as NOT VALID. The copied names stay.

ALTER TABLE users
    DROP CONSTRAINT users_display_name_filled,
    ADD CONSTRAINT users_display_name_filled CHECK (display_name IS NOT NULL) NOT VALID;
