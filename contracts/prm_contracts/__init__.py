"""The published language of the platform: every fact, value and topic, for services and integrators."""
