-- A signing key follows one other, and no two follow the same: of several that are made at once one
-- is kept, and whoever asks for the keys meanwhile sees the same ones.
ALTER TABLE signing_keys ADD COLUMN follows text;
UPDATE signing_keys SET follows = 'nobody knows: ' || kid;
ALTER TABLE signing_keys ALTER COLUMN follows SET NOT NULL, ADD UNIQUE (follows);
