-- The append again, which now begins with what is true of nearly every call: no two of its facts
-- share a stream, and nobody clashed. Then one plain INSERT does, and the unique indexes see what
-- was looked up before. See ADR 15.

-- Appends the facts of many commands, those of one command side by side, each command wholly or not
-- at all. `head`: the last position afterwards; `repeated`: commands known before, which append
-- nothing; `clashed`: commands that decided on a state that has passed, and `moved`, on what.
-- `all_or_none`: a repeat (SQLSTATE PRM02) or clash (PRM01) is raised, so that the transaction and a
-- COMMIT sent behind in the same pipeline fail with it.
CREATE OR REPLACE FUNCTION append(
    aggregate_ids uuid[], versions integer[], types text[], payloads bytea[], digests bytea[],
    event_ids uuid[], occurred_ats timestamptz[], actor_ids uuid[], command_ids uuid[],
    command_places integer[], request_hashes text[], correlation_ids uuid[], causation_ids uuid[],
    traceparents text[], command_outcomes text[], now timestamptz,
    all_or_none boolean DEFAULT false, may_start_anywhere boolean DEFAULT false,
    OUT head bigint, OUT repeated uuid[], OUT clashed uuid[], OUT moved uuid[]
) LANGUAGE plpgsql VOLATILE
-- Planned once, and for the indexes: a plan made while the table was small would read all of it.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    total CONSTANT integer := cardinality(command_ids);
    is_apart boolean := NOT may_start_anywhere; -- no two facts share a stream, each has a known base
    last_position bigint;
    from_at timestamptz;
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

    IF is_apart AND total > 1 THEN
        SELECT count(DISTINCT id) = total INTO is_apart FROM unnest(aggregate_ids) AS id;
    END IF;
    IF is_apart THEN
        SELECT position, recorded_at + interval '1 microsecond' INTO last_position, from_at
        FROM events ORDER BY position DESC LIMIT 1;
        BEGIN
            -- A version that is taken and a command that is known are not unique; a version whose
            -- predecessor is missing has no chain. Both undo this block. A command that is known
            -- and recorded nothing keeps all from being inserted.
            INSERT INTO events
            SELECT coalesce(last_position, 0) + place, aggregate_ids[place], versions[place],
                types[place], payloads[place], event_ids[place], occurred_ats[place],
                greatest(now, from_at) + (place - 1) * interval '1 microsecond', actor_ids[place],
                command_ids[place], command_places[place], request_hashes[place],
                correlation_ids[place], causation_ids[place], traceparents[place],
                sha256(CASE versions[place] WHEN 1 THEN decode(repeat('00', 32), 'hex') ELSE (
                    SELECT before.chain FROM events AS before
                    WHERE before.aggregate_id = aggregate_ids[place]
                      AND before.version = versions[place] - 1) END || digests[place]),
                command_outcomes[place]::jsonb
            FROM generate_series(1, total) AS place
            WHERE NOT EXISTS (SELECT FROM outcomes WHERE command_id = ANY (command_ids));
            GET DIAGNOSTICS inserted = ROW_COUNT;
            IF inserted = total THEN
                head := coalesce(last_position, 0) + total;
                RETURN;
            END IF;
        EXCEPTION WHEN unique_violation OR not_null_violation THEN
            NULL; -- which one it was is found below
        END;
    END IF;

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
