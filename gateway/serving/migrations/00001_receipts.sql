-- +goose Up

-- Receipts by their ids, for good. They hold no text. The time is in seconds since 1970.
CREATE TABLE receipts (
    id BYTEA PRIMARY KEY,
    receipt BYTEA NOT NULL,
    stored BIGINT NOT NULL
);
