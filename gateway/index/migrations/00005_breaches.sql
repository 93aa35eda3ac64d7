-- What broke the separation of duties stays known when the entry is written again.

-- +goose Up
DROP INDEX entries_breach;
ALTER TABLE entries DROP COLUMN breach;
CREATE TABLE breaches (
    key BYTEA NOT NULL,
    why TEXT NOT NULL,
    place BIGINT NOT NULL, -- of the first value that did
    PRIMARY KEY (key, why)
);
CREATE INDEX breaches_place ON breaches (place);
