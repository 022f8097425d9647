-- Migration: user_preferences (rollback)
-- Version: 0002
-- Date: 2024-01-15
-- Takes the table away; its index and its foreign key go with it.

DROP TABLE user_preferences;
