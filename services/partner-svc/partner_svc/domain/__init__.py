"""What partners, contacts and unique keys refuse and what they record."""
