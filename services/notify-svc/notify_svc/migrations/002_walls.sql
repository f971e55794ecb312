-- An inbox is personal, whatever a question asks for.

ALTER TABLE notification_inbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notification_inbox FOR SELECT USING (recipient_id = asker_id());
