"""Superset for the local stack: one user's, on loopback, over plain HTTP, with the test data of SUPERSET_HOME."""

SECRET_KEY = "for the local stack only, never for a server that others can reach"

# Over plain HTTP the security headers and secure cookies of Talisman only stand in the way. CSRF protection stays, as clients have to manage it.
TALISMAN_ENABLED = False
WTF_CSRF_ENABLED = True

# Tests log in more often than people do.
RATELIMIT_ENABLED = False
AUTH_RATE_LIMITED = False

# Query results are not cached (Superset's default), and must not be: a chart shows what Druid holds now.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
