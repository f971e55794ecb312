"""HTTP to the services of this machine: one client, which keeps no connection open."""

import httpx2

HTTP = httpx2.Client(timeout=30, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
