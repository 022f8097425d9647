-- Migration: user_preferences
-- Version: 0002
-- Date: 2024-01-15
-- What each user has set for themselves, one row a setting. The index answers "who wants the
-- weekly digest"; the primary key answers "what does this user want".

CREATE TABLE user_preferences (
    user_id     uuid NOT NULL,
    name        varchar(60) NOT NULL,
    value       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, name),
    CONSTRAINT user_preferences_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX user_preferences_name_idx ON user_preferences (name, updated_at);
