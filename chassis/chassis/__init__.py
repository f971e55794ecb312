"""Mechanisms that all services share; it knows no domain word."""
