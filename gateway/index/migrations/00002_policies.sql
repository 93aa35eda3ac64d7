-- +goose Up
-- Every key policy that was ever set, as Fabric stores it; NULL is its removal. One that was set on an absent key, or on
-- one that was deleted later, governs nothing.
CREATE TABLE policies (
    key BYTEA NOT NULL,
    place BIGINT NOT NULL,
    policy BYTEA,
    PRIMARY KEY (key, place)
);
