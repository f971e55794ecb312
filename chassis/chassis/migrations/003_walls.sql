-- Row-level security of what people ask: who asks is told to the transaction, and nobody is told
-- nothing. A service enables it on each table that its questions read, with a policy beside.

CREATE FUNCTION asker_is_vendor() RETURNS boolean LANGUAGE sql STABLE
    RETURN current_setting('prm.asker_side', true) = 'vendor';

CREATE FUNCTION asker_tenant() RETURNS uuid LANGUAGE sql STABLE
    RETURN nullif(current_setting('prm.asker_tenant', true), '')::uuid;

CREATE FUNCTION asker_id() RETURNS uuid LANGUAGE sql STABLE
    RETURN nullif(current_setting('prm.asker_id', true), '')::uuid;

-- While a question is answered as of an earlier time: what lies beside the stream is of today.
CREATE FUNCTION asks_for_the_past() RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce(current_setting('prm.as_of', true), '') <> '';
