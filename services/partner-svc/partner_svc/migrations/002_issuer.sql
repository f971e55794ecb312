-- What the issuer signs with and whom it believes. Never in facts, never on topics.

CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    wrapped bytea NOT NULL,
    public_jwk jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE applications (
    application_id uuid PRIMARY KEY,
    name text NOT NULL,
    roles jsonb NOT NULL,
    secret_hash text NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL
);
