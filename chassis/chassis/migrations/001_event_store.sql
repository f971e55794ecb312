-- The event store: facts in one order without gaps, and the one function that appends them.

CREATE TABLE events (
    position       bigint PRIMARY KEY,           -- in this store, from 1, no gaps
    aggregate_id   uuid NOT NULL,
    version        integer NOT NULL,             -- of the aggregate, from 1, no gaps
    type           text NOT NULL,
    data           bytea NOT NULL,               -- the bytes as published
    event_id       uuid NOT NULL,                -- UUIDv7
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,         -- strictly rising with the position
    actor_id       uuid NOT NULL,
    command_id     uuid NOT NULL,
    command_place  integer NOT NULL,             -- among the facts of its command, from 1
    request_hash   text NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid,
    traceparent    text NOT NULL,
    chain          bytea NOT NULL,               -- sha256(chain of the version before || digest)
    outcome        jsonb,                        -- the command's answer, where its facts do not tell it
    UNIQUE (aggregate_id, version)
);
-- The facts of a command lie side by side: its first one finds them all.
CREATE UNIQUE INDEX events_first_of_command ON events (command_id) WHERE command_place = 1;

-- Commands that succeeded and recorded nothing.
CREATE TABLE outcomes (
    command_id   uuid PRIMARY KEY,
    request_hash text NOT NULL,
    outcome      jsonb NOT NULL                  -- [["<aggregate id>", version], ...]
);

CREATE TABLE snapshots (
    aggregate_id  uuid PRIMARY KEY,
    kind          text NOT NULL,
    state_version integer NOT NULL,
    version       integer NOT NULL,
    state         bytea NOT NULL                 -- JSON
);

CREATE FUNCTION chain_next(previous bytea, first bytea, digest bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256(coalesce(previous, first) || digest);

CREATE AGGREGATE chained(first bytea, digest bytea) (SFUNC = chain_next, STYPE = bytea);

-- Whoever appends holds this lock until its COMMIT: positions are given and become visible in one
-- order. A table lock would stop vacuum and every reader that locks; this one stops appends only.
CREATE FUNCTION lock_append() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(5928341);
END $$;

-- The first outcome of each command that is known: its request hash, its answer, and the id of its
-- first fact (null where it recorded nothing).
CREATE FUNCTION first_outcomes(asked uuid[])
    RETURNS TABLE (command_id uuid, request_hash text, outcome jsonb, event_id uuid)
    LANGUAGE sql STABLE AS $$
    SELECT known.command_id, known.request_hash, coalesce(known.outcome, told.outcome), known.event_id
    FROM unnest(asked) AS id
    JOIN events AS known ON known.command_id = id AND known.command_place = 1
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(aggregate_id, version) ORDER BY place) AS outcome
        FROM (
            SELECT fact.aggregate_id, max(fact.version) AS version, min(fact.position) AS place
            FROM events AS fact
            WHERE fact.command_id = id AND fact.position >= known.position
              AND fact.position < coalesce((
                  SELECT stranger.position FROM events AS stranger
                  WHERE stranger.position > known.position AND stranger.command_id <> id
                  ORDER BY stranger.position LIMIT 1), 9223372036854775807)
            GROUP BY fact.aggregate_id
        ) AS touched
    ) AS told
    UNION ALL
    SELECT outcomes.command_id, outcomes.request_hash, outcomes.outcome, NULL
    FROM outcomes WHERE outcomes.command_id = ANY (asked)
$$;

-- Inserts the facts given, or none of them: none if a version is not the next one of its aggregate,
-- or a command is known. The caller holds the lock. Answers how many it inserted.
CREATE FUNCTION insert_facts(
    aggregate_ids uuid[], versions integer[], types text[], payloads bytea[], digests bytea[],
    event_ids uuid[], occurred_ats timestamptz[], actor_ids uuid[], command_ids uuid[],
    command_places integer[], request_hashes text[], correlation_ids uuid[], causation_ids uuid[],
    traceparents text[], command_outcomes text[], now timestamptz, may_start_anywhere boolean
) RETURNS bigint LANGUAGE plpgsql
-- Planned once, and for the indexes: a plan made while the table was small would read all of it.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    head record;
    inserted bigint;
BEGIN
    SELECT max(position) AS position, max(recorded_at) AS recorded_at INTO head FROM (
        SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS newest;
    INSERT INTO events
    SELECT coalesce(head.position, 0) + place, aggregate_id, version, type, data, event_id, occurred_at,
        greatest(now, head.recorded_at + interval '1 microsecond') + (place - 1) * interval '1 microsecond',
        actor_id, command_id, command_place, request_hash, correlation_id, causation_id, traceparent,
        chain, command_outcome::jsonb
    FROM (
        SELECT *, bool_and(version = base + turn AND NOT is_known) OVER () AS is_clean
        FROM (
            SELECT given.*,
                coalesce(last.version, CASE WHEN may_start_anywhere
                    THEN first_value(given.version) OVER stream - 1 ELSE 0 END) AS base,
                row_number() OVER stream AS turn,
                chained(coalesce(last.chain, decode(repeat('00', 32), 'hex')), given.digest) OVER stream
                    AS chain,
                coalesce(known.command_id, noted.command_id) IS NOT NULL AS is_known
            FROM unnest(aggregate_ids, versions, types, payloads, digests, event_ids, occurred_ats,
                        actor_ids, command_ids, command_places, request_hashes, correlation_ids,
                        causation_ids, traceparents, command_outcomes)
                WITH ORDINALITY AS given(aggregate_id, version, type, data, digest, event_id,
                    occurred_at, actor_id, command_id, command_place, request_hash, correlation_id,
                    causation_id, traceparent, command_outcome, place)
            LEFT JOIN LATERAL (
                SELECT stored.version, stored.chain FROM events AS stored
                WHERE stored.aggregate_id = given.aggregate_id
                ORDER BY stored.version DESC LIMIT 1
            ) AS last ON true
            LEFT JOIN LATERAL (
                SELECT stored.command_id FROM events AS stored
                WHERE stored.command_id = given.command_id AND stored.command_place = 1
                  AND given.command_place = 1 LIMIT 1
            ) AS known ON true
            LEFT JOIN LATERAL (
                SELECT outcomes.command_id FROM outcomes
                WHERE outcomes.command_id = given.command_id AND given.command_place = 1 LIMIT 1
            ) AS noted ON true
            WINDOW stream AS (PARTITION BY given.aggregate_id ORDER BY given.place)
        ) AS chained_facts
    ) AS checked_facts
    WHERE is_clean;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted;
END $$;

-- Appends the facts of many commands, those of one command side by side, each command wholly or not
-- at all. `head`: the last position afterwards; `repeated`: commands known before, which append
-- nothing; `clashed`: commands that decided on a state that has passed, and `moved`, on what.
-- `all_or_none`: a repeat (SQLSTATE PRM02) or clash (PRM01) is raised, so that the transaction and a
-- COMMIT sent behind in the same pipeline fail with it.
CREATE FUNCTION append(
    aggregate_ids uuid[], versions integer[], types text[], payloads bytea[], digests bytea[],
    event_ids uuid[], occurred_ats timestamptz[], actor_ids uuid[], command_ids uuid[],
    command_places integer[], request_hashes text[], correlation_ids uuid[], causation_ids uuid[],
    traceparents text[], command_outcomes text[], now timestamptz,
    all_or_none boolean DEFAULT false, may_start_anywhere boolean DEFAULT false,
    OUT head bigint, OUT repeated uuid[], OUT clashed uuid[], OUT moved uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    total CONSTANT integer := cardinality(command_ids);
    inserted bigint;
    a integer := 1; -- the first and the last fact of one command
    z integer;
BEGIN
    -- A snapshot taken before the lock would not see the head: positions would double.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM pg_advisory_xact_lock(5928341);
    repeated := '{}'; clashed := '{}'; moved := '{}';

    inserted := insert_facts(aggregate_ids, versions, types, payloads, digests, event_ids, occurred_ats,
        actor_ids, command_ids, command_places, request_hashes, correlation_ids, causation_ids,
        traceparents, command_outcomes, now, may_start_anywhere);
    WHILE inserted < total AND a <= total LOOP -- somebody clashed: one command at a time
        z := a;
        WHILE z < total AND command_places[z + 1] > 1 LOOP
            z := z + 1;
        END LOOP;
        IF EXISTS (SELECT FROM first_outcomes(command_ids[a:a])) THEN
            repeated := repeated || command_ids[a];
        ELSIF all_or_none OR insert_facts(
            aggregate_ids[a:z], versions[a:z], types[a:z], payloads[a:z], digests[a:z], event_ids[a:z],
            occurred_ats[a:z], actor_ids[a:z], command_ids[a:z], command_places[a:z],
            request_hashes[a:z], correlation_ids[a:z], causation_ids[a:z], traceparents[a:z],
            command_outcomes[a:z], now, may_start_anywhere) = 0
        THEN
            clashed := clashed || command_ids[a];
            moved := moved || aggregate_ids[a:z];
        END IF;
        a := z + 1;
    END LOOP;
    IF all_or_none AND repeated <> '{}' THEN
        RAISE EXCEPTION 'commands known' USING ERRCODE = 'PRM02', DETAIL = array_to_string(repeated, ' ');
    ELSIF all_or_none AND inserted < total THEN
        RAISE EXCEPTION 'versions passed' USING ERRCODE = 'PRM01', DETAIL = array_to_string(moved, ' ');
    END IF;
    SELECT max(position) INTO head FROM events;
END $$;

-- Notes the outcome of a command that recorded nothing, unless the command is known already.
CREATE FUNCTION note_outcome(given_id uuid, given_hash text, given_outcome jsonb) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(5928341);
    IF EXISTS (SELECT FROM first_outcomes(ARRAY[given_id])) THEN
        RETURN false;
    END IF;
    INSERT INTO outcomes VALUES (given_id, given_hash, given_outcome);
    RETURN true;
END $$;
