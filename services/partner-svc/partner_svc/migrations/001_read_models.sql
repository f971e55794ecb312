-- Who the partners are, and who of both sides logs on. The document is what a query answers.

CREATE TABLE partner_list (
    partner_id uuid PRIMARY KEY,
    version integer NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    status text NOT NULL GENERATED ALWAYS AS (document ->> 'status') STORED,
    country text NOT NULL GENERATED ALWAYS AS (document ->> 'country') STORED
);
CREATE INDEX partner_list_in_order ON partner_list (sort_key);
CREATE INDEX partner_list_by_country ON partner_list (country);

CREATE TABLE contact_list (
    contact_id uuid PRIMARY KEY,
    version integer NOT NULL,
    partner_id uuid,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    status text NOT NULL GENERATED ALWAYS AS (document ->> 'status') STORED,
    side text NOT NULL GENERATED ALWAYS AS (document ->> 'side') STORED
);
CREATE INDEX contact_list_in_order ON contact_list (sort_key);
CREATE INDEX contact_list_by_partner ON contact_list (partner_id, sort_key);
