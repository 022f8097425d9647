-- Migration: knowledge_graph (rollback)
-- Version: 0001
-- Date: 2024-01-08
-- Takes the tables away in the reverse order of their foreign keys. Their rows go with them.

DROP TABLE knowledge_edges;
DROP TABLE knowledge_nodes;
DROP TABLE users;
