-- Migration: node_difficulty
-- Version: 0004
-- Date: 2024-03-04
-- How hard a piece of knowledge is, from 1 to 5. Nullable at first: the running application
-- does not write it yet. Without a default this touches the catalog only, not the rows.

ALTER TABLE knowledge_nodes ADD COLUMN difficulty smallint;
