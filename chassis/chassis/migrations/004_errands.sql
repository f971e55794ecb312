-- Work in the outside world that waits for its outcome, which is a fact; one row an aggregate and
-- rule. Its clock is the server's own: a story's moves on while the outside world does not.

CREATE TABLE errands (
    rule           text NOT NULL,
    aggregate_id   uuid NOT NULL,
    version        integer NOT NULL,               -- of the aggregate, when it was asked for
    correlation_id uuid NOT NULL,
    causation_id   uuid NOT NULL,
    asked_at       timestamptz NOT NULL DEFAULT now(),
    attempts       integer NOT NULL DEFAULT 0,
    next_try_at    timestamptz NOT NULL DEFAULT now(),
    held_by        text,                           -- the worker that is at it
    held_until     timestamptz,                    -- after that any other may
    reason         text,                           -- why the last try did not succeed
    PRIMARY KEY (rule, aggregate_id)
);
CREATE INDEX errands_due ON errands (rule, next_try_at);
