-- Migration: user_display_name_fill
-- Version: 0009
-- Date: 2024-05-07
-- Copies the names that were there before the trigger, and has PostgreSQL read them all. No
-- strong lock is taken.

-- turnback: waive TB203 because a learning application has thousands of users, not millions
UPDATE users SET display_name = full_name WHERE display_name IS NULL;

ALTER TABLE users VALIDATE CONSTRAINT users_display_name_filled;
