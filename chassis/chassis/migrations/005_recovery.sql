-- What was brought back from the topics, what of it is lost, and what may have had its effect before.

CREATE TABLE restorations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at    timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,                    -- null: it was interrupted and is to be run again
    head_before bigint NOT NULL,                -- last position in the store before and after
    head        bigint NOT NULL,
    letters     bigint NOT NULL                 -- of dead letters published below it no row is expected
);

-- Positions, or versions of an aggregate, of which neither store nor topics have anything.
CREATE TABLE lost_facts (
    restoration  bigint NOT NULL REFERENCES restorations,
    aggregate_id uuid,                          -- null: `first` to `last` are positions
    first        bigint NOT NULL,
    last         bigint NOT NULL
);

-- Up to this offset, facts may have had their effect before the store was brought back: a policy
-- looks for the commands that they caused before it acts on them.
CREATE TABLE reoffered (
    topic     text NOT NULL,
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
