-- Where and how a contact is mailed, and what time it is at a partner. Personal fields stay sealed.

ALTER TABLE contacts
    ADD COLUMN language text NOT NULL DEFAULT 'en',
    ADD COLUMN name jsonb,
    ADD COLUMN email jsonb,
    ADD COLUMN muted jsonb NOT NULL DEFAULT '[]';
ALTER TABLE partners
    ADD COLUMN time_zone text,
    ALTER COLUMN channel_manager_id DROP NOT NULL;
