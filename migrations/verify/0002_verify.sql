-- Migration: user_preferences (verify)
-- Version: 0002
-- Date: 2024-01-15
-- Preferences must go when their user goes, and the index must be there.

DO $$
BEGIN
    ASSERT (
        SELECT count(*) = 1
        FROM pg_constraint
        WHERE conrelid = 'user_preferences'::regclass
          AND confrelid = 'users'::regclass
          AND contype = 'f'
          AND confdeltype = 'c'
          AND convalidated
    ), 'user_preferences has no validated ON DELETE CASCADE foreign key to users';

    ASSERT (
        SELECT indisvalid FROM pg_index WHERE indexrelid = 'user_preferences_name_idx'::regclass
    ), 'user_preferences_name_idx is not valid';
END
$$;
