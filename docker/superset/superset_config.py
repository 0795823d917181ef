"""Superset of docker/compose.yaml: one machine's, on loopback, over plain HTTP."""

import os

from sqlalchemy.engine import URL

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]

SQLALCHEMY_DATABASE_URI = URL.create(
    "postgresql+psycopg2",
    username="superset",
    password=os.environ["SUPERSET_POSTGRES_PASSWORD"],
    host="superset-postgres",
    port=5432,
    database="superset",
).render_as_string(hide_password=False)

REDIS = "redis://superset-redis:6379"


def redis_cache(prefix: str, database: int) -> dict[str, object]:
    """What Flask-Caching wants to know of a cache in redis."""
    return {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": f"{REDIS}/{database}",
        "CACHE_KEY_PREFIX": f"superset_{prefix}_",
        "CACHE_DEFAULT_TIMEOUT": 86400,
    }


CACHE_CONFIG = redis_cache("metadata", 0)
FILTER_STATE_CACHE_CONFIG = redis_cache("filter", 0)
EXPLORE_FORM_DATA_CACHE_CONFIG = redis_cache("explore", 0)
RATELIMIT_STORAGE_URI = f"{REDIS}/1"

# Query results are not cached, and must not be: a chart shows what Druid holds now.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}

# pipeline asks several things at the same time, each after a login of its own.
AUTH_RATE_LIMIT = "20 per second"

# Over plain HTTP the security headers and secure cookies of Talisman only stand in the way.
TALISMAN_ENABLED = False
WTF_CSRF_ENABLED = True
