-- +goose Up

-- Keys that other parts of the gateway seal with, wrapped, by what they are for.
CREATE TABLE content_keys (
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    key BYTEA NOT NULL,
    key_version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (purpose, name)
);
CREATE INDEX content_keys_version ON content_keys (key_version);
