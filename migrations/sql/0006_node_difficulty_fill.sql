-- Migration: node_difficulty_fill
-- Version: 0006
-- Date: 2024-03-19
-- Second step to NOT NULL: fill the rows that exist, then have PostgreSQL read them all.
-- UPDATE and VALIDATE CONSTRAINT let others read and write meanwhile.

-- turnback: waive TB203 because a learning application has thousands of nodes, not millions
UPDATE knowledge_nodes SET difficulty = 1 WHERE difficulty IS NULL;

ALTER TABLE knowledge_nodes VALIDATE CONSTRAINT knowledge_nodes_difficulty_filled;
ALTER TABLE knowledge_nodes VALIDATE CONSTRAINT knowledge_nodes_difficulty_range;
