"""The log-on, beside `api`: who gets an access token, and the keys to verify it with."""
