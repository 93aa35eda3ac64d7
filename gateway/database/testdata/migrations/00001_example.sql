-- +goose Up
CREATE TABLE example (
    name TEXT PRIMARY KEY,
    value BYTEA,
    number BIGINT NOT NULL
);
