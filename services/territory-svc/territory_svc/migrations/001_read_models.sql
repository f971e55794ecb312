-- What is asked of territories, alignments and conflict checks, and what is known of others' facts.

CREATE TABLE territory_list (
    territory_id uuid PRIMARY KEY,
    version integer NOT NULL,
    status text NOT NULL,
    partner_ids uuid[] NOT NULL,
    countries text[] NOT NULL, -- empty: not narrowed to countries
    sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX territory_list_by_code ON territory_list (sort_key);
CREATE INDEX territory_list_by_partner ON territory_list USING gin (partner_ids);

-- A territory as a partner sees it: its own assignment alone, and no excluded customers.
CREATE FUNCTION territory_seen_by(tenant_id uuid, document jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN tenant_id IS NULL THEN document ELSE
        jsonb_set(document, '{rule,excluded_customers}', '[]') || jsonb_build_object(
            'assignments',
            (SELECT jsonb_agg(each) FROM jsonb_array_elements(document->'assignments') AS each
             WHERE (each->>'partner_id')::uuid = tenant_id))
    END
$$;

CREATE TABLE alignment_list (
    alignment_id uuid PRIMARY KEY,
    version integer NOT NULL,
    status text NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX alignment_list_newest_first ON alignment_list (sort_key);
CREATE INDEX alignment_list_undecided ON alignment_list (alignment_id)
    WHERE status IN ('draft', 'validated', 'approved');

CREATE TABLE alignment_changes (
    alignment_id uuid NOT NULL,
    territory_id uuid NOT NULL,
    version integer NOT NULL, -- of the alignment
    document jsonb NOT NULL,
    PRIMARY KEY (alignment_id, territory_id)
);

CREATE TABLE conflict_check_list (
    check_id uuid NOT NULL,
    version integer NOT NULL,
    subject uuid NOT NULL,
    partner_id uuid NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    partner_document jsonb NOT NULL, -- what the partner of the subject may see of it
    PRIMARY KEY (check_id, version)
);
CREATE INDEX conflict_check_list_by_subject ON conflict_check_list (subject, sort_key);

CREATE TABLE partners (
    partner_id uuid PRIMARY KEY,
    version integer NOT NULL,
    legal_name text NOT NULL,
    status text NOT NULL
);

CREATE TABLE open_deals (
    deal_id uuid PRIMARY KEY,
    version integer NOT NULL,
    is_open boolean NOT NULL -- undecided; a decided one keeps what its last check said
);
