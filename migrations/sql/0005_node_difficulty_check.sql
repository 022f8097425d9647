-- Migration: node_difficulty_check
-- Version: 0005
-- Date: 2024-03-18
-- First step to NOT NULL. The default and the check bind new rows from now on. NOT VALID reads
-- no row, so the strong lock these statements take is held for an instant; that is why the rows
-- that exist are left to the next migration, which needs no strong lock.

ALTER TABLE knowledge_nodes
    ALTER COLUMN difficulty SET DEFAULT 1,
    ADD CONSTRAINT knowledge_nodes_difficulty_filled CHECK (difficulty IS NOT NULL) NOT VALID,
    ADD CONSTRAINT knowledge_nodes_difficulty_range CHECK (difficulty BETWEEN 1 AND 5) NOT VALID;
