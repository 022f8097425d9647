-- Migration: node_difficulty_not_null (rollback)
-- Version: 0007
-- Date: 2024-03-20
-- Puts the check back before NOT NULL goes, so that there is no moment without either. This
-- reads the table under a strong lock; turnback's lock timeout bounds the wait for that lock.

ALTER TABLE knowledge_nodes
    ADD CONSTRAINT knowledge_nodes_difficulty_filled CHECK (difficulty IS NOT NULL);
ALTER TABLE knowledge_nodes ALTER COLUMN difficulty DROP NOT NULL;
