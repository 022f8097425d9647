-- Migration: node_difficulty_check (rollback)
-- Version: 0005
-- Date: 2024-03-18
-- Lets the column be empty again.

ALTER TABLE knowledge_nodes
    DROP CONSTRAINT knowledge_nodes_difficulty_range,
    DROP CONSTRAINT knowledge_nodes_difficulty_filled,
    ALTER COLUMN difficulty DROP DEFAULT;
