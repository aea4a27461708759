#!/bin/sh
# Makes what docker-compose.yml needs beside itself, once: the secrets, a file for settings, and the
# landing folder (Docker would make it for root, and nobody else could put a file there).
# What is there is kept. Run it in the folder of docker-compose.yml.
set -eu
umask 077
folder=secrets
mkdir -p "$folder"
[ -e .env ] || touch .env
landing=${LANDING:-var/landing}
[ -d "$landing" ] || { mkdir -p "$landing" && chmod 0755 "$landing"; }

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

keep() { # NAME VALUE
  if [ ! -e "$folder/$1" ]; then
    printf '%s' "$2" > "$folder/$1"
    echo "made $folder/$1"
  fi
}

keep postgres_password "$(random)"
keep prefect_database_password "$(random)"
keep prefect_auth "admin:$(random)"
keep signing_key "$(random)"
keep api_token "$(random)"
keep housing_database_url \
  "postgresql://housing:$(cat "$folder/postgres_password")@postgres/housing"
keep prefect_database_url \
  "postgresql+asyncpg://prefect:$(cat "$folder/prefect_database_password")@postgres/prefect"
# The containers have users of their own, and read the files, which Docker mounts one by one. Here
# nobody else enters the folder.
chmod 0700 "$folder"
chmod 0444 "$folder"/*
echo "The UI asks for the user and password in $folder/prefect_auth."
