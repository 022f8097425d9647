-- Migration: edges_target_index
-- Version: 0003
-- Date: 2024-02-05
-- "What must I know before this?" reads the edges by their target. The table is in use, so the
-- index is built CONCURRENTLY, which PostgreSQL allows only outside a transaction: hence a file
-- of its own, with no other statement in it.

CREATE INDEX CONCURRENTLY knowledge_edges_target_id_idx ON knowledge_edges (target_id);
