-- Migration: user_full_name_drop (verify)
-- Version: 0010
-- Date: 2024-06-03
-- The old name is gone, the new one cannot be empty, and nothing is left of the trigger.

DO $$
BEGIN
    ASSERT (
        SELECT array_agg(attname::text ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped
    ) = ARRAY['id', 'email', 'created_at', 'display_name'], 'users has other columns than expected';

    ASSERT (
        SELECT attnotnull
        FROM pg_attribute
        WHERE attrelid = 'users'::regclass AND attname = 'display_name'
    ), 'users.display_name still allows NULL';

    ASSERT NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = 'users'::regclass AND NOT tgisinternal
    ), 'users still has a trigger';
END
$$;
