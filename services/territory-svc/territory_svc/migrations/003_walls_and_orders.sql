-- Whose rows a question may see, whatever it asks for; and the orders that lists can be read in.

ALTER TABLE territory_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON territory_list FOR SELECT
    USING (asker_is_vendor() OR asker_tenant() = ANY (partner_ids));
CREATE INDEX territory_list_by_name ON territory_list ((document -> 'name'), sort_key);

-- How the map is to change is the vendor's matter until it has changed.
ALTER TABLE alignment_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY vendors ON alignment_list FOR SELECT USING (asker_is_vendor());
ALTER TABLE alignment_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY vendors ON alignment_changes FOR SELECT USING (asker_is_vendor());

ALTER TABLE conflict_check_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON conflict_check_list FOR SELECT
    USING (asker_is_vendor() OR partner_id = asker_tenant());
