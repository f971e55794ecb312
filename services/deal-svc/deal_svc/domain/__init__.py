"""Aggregates of deal-svc, what they refuse and what they record, and the engines they rest on."""
