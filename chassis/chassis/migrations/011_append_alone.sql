-- In SQL it becomes part of the statement that calls it, which is now one a command. See ADR 15.
CREATE OR REPLACE FUNCTION lock_append() RETURNS void
    LANGUAGE sql VOLATILE RETURN pg_advisory_xact_lock(5928341);
