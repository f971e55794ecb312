-- What deal-svc has read of other services' facts, by the time it decides.

CREATE TABLE partners (
    partner_id uuid PRIMARY KEY,
    version integer NOT NULL,
    status text NOT NULL,
    time_zone text NOT NULL,
    terms_version text
);

CREATE TABLE approval_limits (
    contact_id uuid NOT NULL,
    currency text NOT NULL,
    version integer NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (contact_id, currency)
);

CREATE TABLE alignments (
    alignment_id uuid PRIMARY KEY,
    version integer NOT NULL,
    alignment_version integer NOT NULL
);

-- What queries answer.

CREATE TABLE price_book_list (
    price_book_id uuid PRIMARY KEY,
    version integer NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX price_book_list_in_order ON price_book_list (sort_key);

CREATE TABLE product_list (
    product_id uuid PRIMARY KEY,
    version integer NOT NULL, -- of its price book
    price_book_id uuid NOT NULL,
    family text NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX product_list_in_order ON product_list (sort_key);
CREATE INDEX product_list_by_family ON product_list (family, sort_key);

CREATE TABLE customer_list (
    customer_id uuid PRIMARY KEY,
    version integer NOT NULL,
    country text NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX customer_list_in_order ON customer_list (sort_key);
CREATE INDEX customer_list_by_country ON customer_list (country, sort_key);

CREATE TABLE deal_list (
    deal_id uuid PRIMARY KEY,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    seller_id uuid NOT NULL,
    registered_by uuid NOT NULL,
    customer_id uuid NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    status text NOT NULL GENERATED ALWAYS AS (document ->> 'status') STORED
);
CREATE INDEX deal_list_in_order ON deal_list (sort_key);
CREATE INDEX deal_list_by_partner ON deal_list (partner_id, sort_key);
CREATE INDEX deal_list_by_status ON deal_list (status, sort_key);
CREATE INDEX deal_list_by_customer ON deal_list (customer_id, sort_key);

-- `document` is what the partner sees; `vendor_part` is laid over it for the vendor's people.
CREATE TABLE deal_detail (
    deal_id uuid PRIMARY KEY,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    seller_id uuid NOT NULL,
    registered_by uuid NOT NULL,
    document jsonb NOT NULL,
    vendor_part jsonb NOT NULL
);

-- One row a claim: the waiting lines as the vendor sees them.
CREATE TABLE exclusivity_line (
    exclusivity_id uuid NOT NULL,
    deal_id uuid NOT NULL,
    version integer NOT NULL,
    customer_id uuid NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    status text NOT NULL GENERATED ALWAYS AS (document ->> 'status') STORED,
    site text GENERATED ALWAYS AS (document ->> 'site') STORED,
    claim_version integer NOT NULL
        GENERATED ALWAYS AS ((document ->> 'claim_version')::integer) STORED,
    PRIMARY KEY (exclusivity_id, deal_id)
);
CREATE INDEX exclusivity_line_in_order ON exclusivity_line (sort_key);
CREATE INDEX exclusivity_line_by_customer ON exclusivity_line (customer_id, sort_key);
CREATE INDEX exclusivity_line_by_deal ON exclusivity_line (deal_id);

-- The worst over the deal's lines, as they are now; it was told another one if somebody left since.
CREATE FUNCTION place_in_line(asked uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT max(1 + (SELECT count(*) FROM exclusivity_line AS ahead
                    WHERE ahead.exclusivity_id = mine.exclusivity_id
                    AND ahead.claim_version < mine.claim_version AND ahead.status <> 'left'
                    AND (ahead.site IS NULL OR mine.site IS NULL OR ahead.site = mine.site)))
    FROM exclusivity_line AS mine
    WHERE mine.deal_id = asked AND mine.status <> 'left'
$$;
