-- Whose rows a question may see, whatever it asks for; and the orders that lists can be read in.

ALTER TABLE price_book_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON price_book_list FOR SELECT USING (true);
ALTER TABLE product_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON product_list FOR SELECT USING (true);
CREATE INDEX product_list_by_price ON product_list ((document -> 'list_price_minor'), sort_key);

-- Whose customer it is says a lot.
ALTER TABLE customer_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY vendors ON customer_list FOR SELECT USING (asker_is_vendor());

ALTER TABLE deal_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON deal_list FOR SELECT USING (asker_is_vendor() OR partner_id = asker_tenant());
CREATE INDEX deal_list_by_amount ON deal_list ((document -> 'amount_minor'), sort_key);
CREATE INDEX deal_list_by_close ON deal_list ((document -> 'expected_close_on'), sort_key);
CREATE INDEX deal_list_by_customer_name ON deal_list ((document -> 'customer_name'), sort_key);
CREATE INDEX deal_list_by_registration ON deal_list ((document -> 'registered_at'), sort_key);

ALTER TABLE deal_detail ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON deal_detail FOR SELECT
    USING (asker_is_vendor() OR partner_id = asker_tenant());

ALTER TABLE exclusivity_line ENABLE ROW LEVEL SECURITY;
CREATE POLICY vendors ON exclusivity_line FOR SELECT USING (asker_is_vendor());

-- A number over rows that its asker does not see: it counts as the tables' owner.
ALTER FUNCTION place_in_line(uuid) SECURITY DEFINER SET search_path = public, pg_temp;

-- What a receipt proves: the registration, and the facts of a line up to its claim, which others
-- recorded. Both only for a deal that the asker may see; the log itself is nobody's to ask.
CREATE FUNCTION registration_of(asked uuid) RETURNS SETOF events
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT * FROM events
    WHERE aggregate_id = asked AND version = 1 AND type = 'prm.deal.DealRegistered.v1'
      AND (asker_is_vendor()
           OR (convert_from(data, 'UTF8')::jsonb ->> 'partner_id')::uuid = asker_tenant())
$$;
CREATE FUNCTION line_of(asked_deal uuid, asked_line uuid) RETURNS SETOF events
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT line.* FROM registration_of(asked_deal) AS registered,
        jsonb_array_elements(convert_from(registered.data, 'UTF8')::jsonb -> 'claims') AS claim,
        events AS line
    WHERE (claim ->> 'exclusivity_id')::uuid = asked_line AND line.aggregate_id = asked_line
      AND line.version <= (claim ->> 'version')::integer
    ORDER BY line.version
$$;
