-- +goose Up

-- Releases that this gateway has recorded on the ledger: what may be fetched under them, and until when. document is the
-- request as it was recorded, recorded is in milliseconds since 1970.
CREATE TABLE exchange_releases (
    datanet TEXT NOT NULL,
    id TEXT NOT NULL,
    msp TEXT NOT NULL,
    document BYTEA NOT NULL,
    recorded BIGINT NOT NULL,
    PRIMARY KEY (datanet, id)
);
