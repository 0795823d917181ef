# shellcheck shell=bash
# Superset 6.1 from PyPI, with Druid's driver. superset/requirements.lock is the whole set of packages, by `pip freeze`; three stand in it
# that Superset's own requirements get wrong: Flask-Caching below 2.5 (newer ones break its metadata cache), Flask-Limiter below 4 with rich
# (no command runs without it) and cachetools (no login without it).

SUPERSET_SOURCES=$STACK/servers/superset
SUPERSET_PACKAGES=$SUPERSET_SOURCES/requirements.lock
# A virtual environment can't be moved, so it is built where it stays; ready, written last, says that it is whole.
SUPERSET_PREPARED=$CACHE/superset-6.1.0-$(sha256sum <"$SUPERSET_PACKAGES" | cut -c1-16)
SUPERSET_RUN=$RUN/data/superset

superset_fetch() {
  if [ -e "$SUPERSET_PREPARED/ready" ]; then return; fi
  need python3.11 'python3.11 python3.11-venv'
  rm -rf "$SUPERSET_PREPARED"
  mkdir "$SUPERSET_PREPARED"
  say '  installing Superset from PyPI (2 to 3 minutes)'
  superset_quietly python3.11 -m venv "$SUPERSET_PREPARED/venv"
  retry superset_quietly "$SUPERSET_PREPARED/venv/bin/pip" install --no-deps --disable-pip-version-check -r "$SUPERSET_PACKAGES"
  say '  preparing its metadata database (1 minute)'
  superset_prepare db upgrade
  superset_prepare fab create-admin --username admin --password admin --firstname Local --lastname Admin --email admin@example.org
  superset_prepare init
  touch "$SUPERSET_PREPARED/ready"
}

superset_start() {
  need curl curl
  need_port Superset "$SUPERSET_PORT"
  mkdir -p "$SUPERSET_RUN"
  superset_database
  certificates
  # One worker: its threads share a core well, and a second worker would cost 300 MB.
  launch superset "${SUPERSET_COMMAND[@]}" SUPERSET_HOME="$SUPERSET_RUN" REQUESTS_CA_BUNDLE="$CERTIFICATES/ca.pem" "$SUPERSET_PREPARED/venv/bin/gunicorn" --bind "$HOST:$SUPERSET_PORT" \
    --workers 1 --worker-class gthread --threads 8 --timeout 120 --graceful-timeout 5 --no-control-socket --access-logfile - 'superset.app:create_app()'
  await superset 180 curl -fsS -m 5 "http://$HOST:$SUPERSET_PORT/health"
  # Superset can be healthy and still unable to log anyone in.
  await superset 60 superset_login
}

superset_stop() { halt superset; }

# A new stack starts with a copy of the prepared database; an older stack keeps its own.
superset_database() {
  local database=$SUPERSET_RUN/superset.db
  if [ -e "$database" ]; then return; fi
  cp "$SUPERSET_PREPARED/superset.db" "$database.part"
  mv "$database.part" "$database"
}

superset_login() {
  curl -fsS -m 20 "http://$HOST:$SUPERSET_PORT/api/v1/security/login" -H 'Content-Type: application/json' \
    -d '{"username": "admin", "password": "admin", "provider": "db", "refresh": true}'
}

# Superset without what the caller's environment may hold for another one.
SUPERSET_COMMAND=(env -u SUPERSET_ENV -u PYTHONPATH -u PYTHONHOME SUPERSET_CONFIG_PATH="$SUPERSET_SOURCES/superset_config.py" FLASK_APP='superset.app:create_app()' SCARF_ANALYTICS=false)

superset_prepare() { superset_quietly "${SUPERSET_COMMAND[@]}" SUPERSET_HOME="$SUPERSET_PREPARED" "$SUPERSET_PREPARED/venv/bin/superset" "$@"; }

superset_quietly() {
  "$@" >"$SUPERSET_PREPARED/log" 2>&1 </dev/null && return
  tail -n 12 "$SUPERSET_PREPARED/log" >&2
  return 1
}
