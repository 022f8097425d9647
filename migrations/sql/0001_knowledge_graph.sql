-- Migration: knowledge_graph
-- Version: 0001
-- Date: 2024-01-08
-- The learning application's first tables: who learns, what there is to know, and which
-- piece of knowledge leads to which.

CREATE TABLE users (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email       varchar(320) NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    full_name   varchar(200) NOT NULL,
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE knowledge_nodes (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title       varchar(200) NOT NULL,
    body        text NOT NULL DEFAULT '',
    author_id   uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX knowledge_nodes_author_id_idx ON knowledge_nodes (author_id);

CREATE TABLE knowledge_edges (
    source_id   uuid NOT NULL REFERENCES knowledge_nodes (id) ON DELETE CASCADE,
    target_id   uuid NOT NULL REFERENCES knowledge_nodes (id) ON DELETE CASCADE,
    kind        varchar(20) NOT NULL DEFAULT 'requires',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, target_id, kind),
    CONSTRAINT knowledge_edges_kind_check CHECK (kind IN ('requires', 'extends', 'relates')),
    CONSTRAINT knowledge_edges_no_loop_check CHECK (source_id <> target_id)
);

COMMENT ON TABLE knowledge_edges IS 'The source is learned before the target.';
