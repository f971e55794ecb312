-- The look-up keys of customers: the one table that is written in the transaction of the append,
-- because a registration must find every customer that an earlier one named. It can be filled
-- again from the facts: INSERT ... SELECT over events as the triggers do.

-- kind: name (normalised), beginning (the first three letters of a word of it), domain, duns,
-- tax-id, postal-code
CREATE TABLE customer_keys (
    country text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    customer_id uuid NOT NULL,
    PRIMARY KEY (country, kind, key, customer_id)
);
CREATE INDEX customer_keys_of_customer ON customer_keys (customer_id);

CREATE FUNCTION customer_keys_in(fact jsonb) RETURNS TABLE (kind text, key text)
    LANGUAGE sql IMMUTABLE AS $$
    SELECT told.kind, told.key
    FROM (VALUES ('name', fact ->> 'normalised_name'), ('domain', fact ->> 'domain'),
                 ('duns', fact ->> 'duns'), ('tax-id', fact ->> 'tax_id'),
                 ('postal-code', fact ->> 'postal_code')) AS told (kind, key)
    WHERE told.key IS NOT NULL
    UNION
    SELECT 'beginning', left(word, 3)
    FROM regexp_split_to_table(fact ->> 'normalised_name', ' ') AS word
    WHERE word <> ''
$$;

CREATE FUNCTION keep_customer_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM appended WHERE type LIKE 'prm.customer.%') THEN
        RETURN NULL;
    END IF;
    -- First those that bring their country, then those that add to a customer of a known one.
    INSERT INTO customer_keys (country, kind, key, customer_id)
    SELECT fact ->> 'country', told.kind, told.key, aggregate_id
    FROM (SELECT aggregate_id, convert_from(data, 'UTF8')::jsonb AS fact FROM appended
          WHERE type = 'prm.customer.CustomerResolved.v1') AS resolved,
         customer_keys_in(fact) AS told
    ON CONFLICT DO NOTHING;
    INSERT INTO customer_keys (country, kind, key, customer_id)
    SELECT known.country, told.kind, told.key, aggregate_id
    FROM (SELECT aggregate_id, convert_from(data, 'UTF8')::jsonb AS fact FROM appended
          WHERE type = 'prm.customer.CustomerKeysAdded.v1') AS added,
         LATERAL (SELECT country FROM customer_keys WHERE customer_id = aggregate_id LIMIT 1) AS known,
         customer_keys_in(fact) AS told
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER keep_customer_keys AFTER INSERT ON events REFERENCING NEW TABLE AS appended
    FOR EACH STATEMENT EXECUTE FUNCTION keep_customer_keys();
