-- Migration: edges_target_index (rollback)
-- Version: 0003
-- Date: 2024-02-05
-- A plain DROP INDEX would wait for every reader of the table and have all others wait behind
-- it; CONCURRENTLY does not, and runs outside a transaction as well.

DROP INDEX CONCURRENTLY knowledge_edges_target_id_idx;
