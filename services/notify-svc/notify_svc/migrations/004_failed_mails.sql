-- What has failed is for operations to see, whoever it was to; what it says stays its recipient's.
-- It is seen to leave the list, too: a failure that was mended is null.

CREATE POLICY failed ON notification_inbox FOR SELECT
    USING (asker_is_vendor() AND document ? 'failure');
CREATE INDEX notification_inbox_failed ON notification_inbox (sort_key)
    WHERE document ->> 'mail' = 'failed';
