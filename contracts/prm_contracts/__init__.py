"""The published language of the platform: facts, values, topics, for services and integrators."""
