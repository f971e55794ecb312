"""Read models filled anew from the log beside those in use, compared, put in their place."""
