-- What each sealed contribution says of itself, so that a snapshot of many is summed up in one query.

-- +goose Up
CREATE TABLE leaves (
    datanet TEXT NOT NULL,
    position BIGINT NOT NULL, -- from 0
    id TEXT NOT NULL,         -- of the contribution
    about TEXT NOT NULL,      -- what it is counted by, as JSON, when it was sealed
    records BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    gone BIGINT NOT NULL,     -- the number of the first snapshot without it, 0 while it is not retired
    changed BIGINT NOT NULL,  -- the place at which the contribution was first written after it was sealed, 0 if it was not
    PRIMARY KEY (datanet, position)
);
CREATE INDEX leaves_id ON leaves (datanet, id);
