"""`prm doctor`: what is wrong with a platform, how bad it is, since when, and what to do."""
