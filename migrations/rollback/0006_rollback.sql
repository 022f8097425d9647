-- Migration: node_difficulty_fill (rollback)
-- Version: 0006
-- Date: 2024-03-19
-- A constraint cannot be unvalidated, so both are made anew as NOT VALID. The filled values
-- stay: nothing tells them from those that users chose, and the schema does not need them gone.

ALTER TABLE knowledge_nodes
    DROP CONSTRAINT knowledge_nodes_difficulty_filled,
    DROP CONSTRAINT knowledge_nodes_difficulty_range,
    ADD CONSTRAINT knowledge_nodes_difficulty_filled CHECK (difficulty IS NOT NULL) NOT VALID,
    ADD CONSTRAINT knowledge_nodes_difficulty_range CHECK (difficulty BETWEEN 1 AND 5) NOT VALID;
