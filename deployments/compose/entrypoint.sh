#!/bin/sh
# Secrets come as files, each named for the variable that it is; the programs read variables.
set -eu
for file in /run/secrets/*; do
  [ -f "$file" ] || continue
  export "$(basename "$file")=$(cat "$file")"
done
exec "$@"
