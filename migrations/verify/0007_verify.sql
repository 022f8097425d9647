-- Migration: node_difficulty_not_null (verify)
-- Version: 0007
-- Date: 2024-03-20
-- The column refuses NULL by itself now, and its range is checked for every row.

DO $$
BEGIN
    ASSERT (
        SELECT attnotnull
        FROM pg_attribute
        WHERE attrelid = 'knowledge_nodes'::regclass AND attname = 'difficulty'
    ), 'knowledge_nodes.difficulty still allows NULL';

    ASSERT (
        SELECT convalidated
        FROM pg_constraint
        WHERE conrelid = 'knowledge_nodes'::regclass
          AND conname = 'knowledge_nodes_difficulty_range'
    ), 'knowledge_nodes_difficulty_range is not validated';

    ASSERT NOT EXISTS (
        SELECT FROM knowledge_nodes WHERE difficulty NOT BETWEEN 1 AND 5
    ), 'a knowledge node has a difficulty out of range';
END
$$;
