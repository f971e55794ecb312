-- The map as conflict checks and alignments read it. Kept in the append that records the facts, not
-- from the topics: a map read half switched, or older than its aggregate, would check deals wrongly
-- and let two exclusives overlap. Facts restored into the log fill it again.

CREATE TABLE territory_map (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    alignment_version integer NOT NULL
);
INSERT INTO territory_map (alignment_version) VALUES (0);

CREATE TABLE territory_cells (
    territory_id uuid PRIMARY KEY,
    alignment_version integer NOT NULL, -- of the last change
    is_active boolean NOT NULL,
    code text NOT NULL,
    lookup_keys text[] NOT NULL, -- countries or '*', and named customers, as domain.cells says
    rule jsonb NOT NULL,
    assignments jsonb NOT NULL
);
CREATE INDEX territory_cells_by_key ON territory_cells USING gin (lookup_keys) WHERE is_active;
CREATE INDEX territory_cells_by_code ON territory_cells (code) WHERE is_active;

-- The newest check of each subject.
CREATE TABLE checked_subjects (
    subject uuid PRIMARY KEY,
    subject_version integer NOT NULL,
    alignment_version integer NOT NULL,
    dimensions jsonb NOT NULL
);

CREATE FUNCTION lookup_keys(rule jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT jsonb_array_elements_text(rule->'included_customers'))
        || CASE
            WHEN jsonb_array_length(rule->'geographies') > 0
                THEN ARRAY(SELECT DISTINCT left(code, 2)
                           FROM jsonb_array_elements_text(rule->'geographies') AS code)
            WHEN jsonb_array_length(rule->'included_customers') > 0
                AND jsonb_array_length(rule->'families') = 0
                AND jsonb_array_length(rule->'industries') = 0
                AND jsonb_array_length(rule->'size_bands') = 0
                AND jsonb_array_length(rule->'channels') = 0
                THEN ARRAY[]::text[]
            ELSE ARRAY['*']
        END
$$;

CREATE FUNCTION keep_map() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM appended WHERE type LIKE 'prm.territory%') THEN -- else most appends
        INSERT INTO territory_cells
            (territory_id, alignment_version, is_active, code, lookup_keys, rule, assignments)
        SELECT DISTINCT ON (aggregate_id)
            aggregate_id, (fact->>'alignment_version')::integer, true, fact->'definition'->>'code',
            lookup_keys(fact->'definition'->'rule'), fact->'definition'->'rule',
            fact->'definition'->'assignments'
        FROM (SELECT aggregate_id, version, convert_from(data, 'UTF8')::jsonb AS fact
              FROM appended WHERE type = 'prm.territory.TerritoryActivated.v1') AS activated
        ORDER BY aggregate_id, version DESC
        ON CONFLICT (territory_id) DO UPDATE SET
            alignment_version = excluded.alignment_version, is_active = true, code = excluded.code,
            lookup_keys = excluded.lookup_keys, rule = excluded.rule,
            assignments = excluded.assignments;

        -- A retired territory stays retired, so that the order within one append does not matter.
        UPDATE territory_cells SET is_active = false,
            alignment_version = (convert_from(data, 'UTF8')::jsonb->>'alignment_version')::integer
        FROM appended
        WHERE type = 'prm.territory.TerritoryRetired.v1' AND territory_id = aggregate_id;

        UPDATE territory_map SET alignment_version = switched.to_version
        FROM (SELECT max((convert_from(data, 'UTF8')::jsonb->>'alignment_version')::integer)
                  AS to_version
              FROM appended WHERE type = 'prm.territory-map.MapSwitched.v1') AS switched
        WHERE switched.to_version > territory_map.alignment_version;
    END IF;

    INSERT INTO checked_subjects (subject, subject_version, alignment_version, dimensions)
    SELECT DISTINCT ON (subject)
        (fact->>'subject')::uuid AS subject, (fact->>'subject_version')::integer AS of_subject,
        (fact->>'alignment_version')::integer AS of_map, fact->'dimensions'
    FROM (SELECT convert_from(data, 'UTF8')::jsonb AS fact FROM appended
          WHERE type = 'prm.conflict-check.TerritoryConflictChecked.v1') AS checked
    ORDER BY subject, of_subject DESC, of_map DESC
    ON CONFLICT (subject) DO UPDATE SET
        subject_version = excluded.subject_version,
        alignment_version = excluded.alignment_version, dimensions = excluded.dimensions
    WHERE (excluded.subject_version, excluded.alignment_version)
        > (checked_subjects.subject_version, checked_subjects.alignment_version);
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_map AFTER INSERT ON events
    REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION keep_map();
