-- Facts out and in: how far the relay is, what each subscriber has seen, what waits, what is due.

-- The last position that lies on its topic, acknowledged by all replicas.
CREATE TABLE relay (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL
);
INSERT INTO relay (position) VALUES (0);

-- The last offset whose effect is committed. A subscriber: `policies`, a read model, a deadline rule.
CREATE TABLE tracking (
    subscriber text NOT NULL,
    topic      text NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint NOT NULL,                  -- -1: none yet
    PRIMARY KEY (subscriber, topic, partition)
);

-- The last version of each aggregate that a subscriber has seen.
CREATE TABLE sequences (
    subscriber   text NOT NULL,
    aggregate_id uuid NOT NULL,
    version      integer NOT NULL,
    chain        bytea NOT NULL,
    PRIMARY KEY (subscriber, aggregate_id)
);

-- Facts that a subscriber could not take in their turn, and all later ones of their aggregate.
CREATE TABLE parking (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscriber   text NOT NULL,                  -- '': it concerns them all
    aggregate_id uuid,                           -- null: the record names none that can be trusted
    version      integer,
    type         text NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    key          bytea,
    value        bytea,
    headers      jsonb NOT NULL,                 -- [["<name>", "<base64>"], ...]
    kind         text NOT NULL CHECK (
        kind IN ('failed', 'held', 'unknown', 'forked', 'behind', 'untrustworthy')),
    state        text NOT NULL CHECK (state IN ('waiting', 'dead', 'released', 'discarded')),
    reason       text NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz,                    -- null: no timer
    held_until   timestamptz,                    -- by the service's clock
    based_on     jsonb,                          -- what a held fact waits for
    parked_at    timestamptz NOT NULL DEFAULT now(),
    is_published boolean NOT NULL DEFAULT false  -- the dead ones, on the topic of dead letters
);
CREATE UNIQUE INDEX parking_unreadable ON parking (topic, partition, "offset")
    WHERE subscriber = '' AND state IN ('waiting', 'dead');
CREATE INDEX parking_open ON parking (subscriber, aggregate_id, version)
    WHERE state IN ('waiting', 'dead');
CREATE INDEX parking_unpublished ON parking (id) WHERE state = 'dead' AND NOT is_published;

-- Aggregates of which a fact could not be handled; a held one is no failure.
CREATE VIEW parked AS
    SELECT DISTINCT aggregate_id FROM parking
    WHERE state IN ('waiting', 'dead') AND kind <> 'held' AND aggregate_id IS NOT NULL;

-- What was begun and not ended: a fact that kills its process is found by how often it began.
CREATE TABLE underway (
    topic     text NOT NULL,
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    starts    integer NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE deadlines (
    rule         text NOT NULL,
    aggregate_id uuid NOT NULL,
    version      integer NOT NULL,               -- of the aggregate, when it was set
    due_at       timestamptz NOT NULL,
    fired_at     timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz,
    reason       text,
    PRIMARY KEY (rule, aggregate_id)
);
CREATE INDEX deadlines_due ON deadlines (due_at) WHERE fired_at IS NULL;
