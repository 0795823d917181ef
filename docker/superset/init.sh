#!/bin/sh
# Runs before each start of Superset: its database as this release wants it, the user admin, the roles. What is there already, stays.
set -eu

superset db upgrade
# From the environment, since a command line can be read by every process.
FLASK_FAB_CREATE_ADMIN_PASSWORD=$SUPERSET_ADMIN_PASSWORD \
  superset fab create-admin --username admin --firstname Local --lastname Admin --email admin@example.org
superset init
