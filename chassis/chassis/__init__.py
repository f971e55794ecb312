"""Mechanisms that all services share; it knows no domain word.

The modules here are what services write against; each package is a mechanism behind them.
"""
