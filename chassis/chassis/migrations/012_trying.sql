-- Of what is tried again, noted before the try: if it is still there, the try was cut off.
ALTER TABLE parking ADD COLUMN is_trying boolean NOT NULL DEFAULT false;
