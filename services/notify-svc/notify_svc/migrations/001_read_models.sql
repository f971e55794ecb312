-- Whom a notification can be addressed to, and the inbox.

CREATE TABLE contacts (
    contact_id uuid PRIMARY KEY,
    version integer NOT NULL,
    side text NOT NULL,
    partner_id uuid,
    roles jsonb NOT NULL,
    is_active boolean NOT NULL
);
CREATE INDEX contacts_by_partner ON contacts (partner_id) WHERE is_active;
CREATE INDEX contacts_by_role ON contacts USING gin (roles) WHERE is_active;

CREATE TABLE partners (
    partner_id uuid PRIMARY KEY,
    version integer NOT NULL,
    channel_manager_id uuid NOT NULL
);

CREATE TABLE deals (
    deal_id uuid PRIMARY KEY,
    partner_id uuid NOT NULL,
    seller_id uuid NOT NULL,
    customer text NOT NULL
);

CREATE TABLE notification_inbox (
    notification_id uuid PRIMARY KEY,
    version integer NOT NULL,
    recipient_id uuid NOT NULL,
    sort_key text NOT NULL,
    is_read boolean NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX notification_inbox_by_recipient ON notification_inbox (recipient_id, sort_key);
