-- +goose Up

-- What the store holds, in clear only what the ledger shows anyway. key is wrapped by the master key of the version
-- beside it, dossier is sealed by a key derived from it; both are NULL once the content is being erased. Times are
-- milliseconds since 1970.
CREATE TABLE content_items (
    id TEXT PRIMARY KEY,
    replica BIGINT NOT NULL,
    state TEXT NOT NULL,
    account TEXT NOT NULL,
    datanet TEXT NOT NULL,
    contribution TEXT NOT NULL,
    commitment TEXT NOT NULL,
    size BIGINT NOT NULL,
    received BIGINT NOT NULL,
    part_size BIGINT NOT NULL,
    key BYTEA,
    key_version BIGINT NOT NULL,
    dossier BYTEA,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    verified BIGINT NOT NULL
);
CREATE INDEX content_items_account ON content_items (account);
CREATE UNIQUE INDEX content_items_place ON content_items (datanet, contribution, commitment) WHERE contribution <> '' AND commitment <> '';
CREATE INDEX content_items_key_version ON content_items (key_version);

-- The objects in which the bytes lie, by number from 0; all but the last have the item's part_size bytes of plain text.
CREATE TABLE content_parts (
    item TEXT NOT NULL REFERENCES content_items (id),
    number BIGINT NOT NULL,
    object TEXT NOT NULL UNIQUE,
    size BIGINT NOT NULL,
    PRIMARY KEY (item, number)
);

-- What is never to come back: an item by its id, everything of a contribution by its name (item is '' then).
CREATE TABLE content_tombstones (
    item TEXT NOT NULL,
    datanet TEXT NOT NULL,
    contribution TEXT NOT NULL,
    erased BIGINT NOT NULL,
    PRIMARY KEY (item, datanet, contribution)
);

-- Backups that were made, so that an operator knows which of them still hold what was erased since.
CREATE TABLE content_backups (
    id TEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    key_version BIGINT NOT NULL,
    blobs BIGINT NOT NULL,
    items BIGINT NOT NULL
);

-- Secrets of fingerprint epochs, wrapped, by the check value that the ledger has of them.
CREATE TABLE content_secrets (
    check_value TEXT PRIMARY KEY,
    key BYTEA NOT NULL,
    key_version BIGINT NOT NULL,
    created BIGINT NOT NULL
);
