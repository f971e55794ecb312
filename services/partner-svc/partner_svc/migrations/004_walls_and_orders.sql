-- Whose rows a question may see, whatever it asks for; and the orders that lists can be read in.

ALTER TABLE partner_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON partner_list FOR SELECT
    USING (asker_is_vendor() OR partner_id = asker_tenant());
CREATE INDEX partner_list_by_legal_name ON partner_list ((document -> 'legal_name'), sort_key);
CREATE INDEX partner_list_by_registration ON partner_list ((document -> 'registered_at'), sort_key);

ALTER TABLE contact_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON contact_list FOR SELECT
    USING (asker_is_vendor() OR partner_id = asker_tenant());
CREATE INDEX contact_list_by_invitation ON contact_list ((document -> 'invited_at'), sort_key);
