-- Migration: node_difficulty_not_null
-- Version: 0007
-- Date: 2024-03-20
-- Last step to NOT NULL. PostgreSQL takes the validated check as proof and reads no row; after
-- that the check says nothing new and goes. Two statements, because PostgreSQL must still see
-- the check when it sets NOT NULL.

ALTER TABLE knowledge_nodes ALTER COLUMN difficulty SET NOT NULL;
ALTER TABLE knowledge_nodes DROP CONSTRAINT knowledge_nodes_difficulty_filled;
