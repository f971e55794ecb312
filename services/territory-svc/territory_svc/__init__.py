"""territory-svc: who works which part of the market, and which subject lies in whose part."""
