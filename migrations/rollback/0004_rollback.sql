-- Migration: node_difficulty (rollback)
-- Version: 0004
-- Date: 2024-03-04
-- Takes the column away, with what was written to it.

ALTER TABLE knowledge_nodes DROP COLUMN difficulty;
