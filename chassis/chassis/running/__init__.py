"""One process of a service: its settings, its parts plugged together, started and stopped."""
