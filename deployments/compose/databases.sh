#!/bin/sh
# Run once by the PostgreSQL image, when its volume is new: a database for the orchestrator beside
# the one for the metadata store. Neither can read the other.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  -v password="$(cat /run/secrets/prefect_database_password)" <<'SQL'
CREATE ROLE prefect LOGIN PASSWORD :'password';
CREATE DATABASE prefect OWNER prefect;
REVOKE CONNECT ON DATABASE prefect FROM PUBLIC;
REVOKE CONNECT ON DATABASE housing FROM PUBLIC;
SQL
