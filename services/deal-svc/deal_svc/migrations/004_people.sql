-- Who of a partner can be named as the seller of its deals.

CREATE TABLE people (
    contact_id uuid PRIMARY KEY,
    version integer NOT NULL,
    partner_id uuid NOT NULL,
    is_active boolean NOT NULL
);
