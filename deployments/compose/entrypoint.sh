#!/bin/sh
# Secrets come as files, each named for the variable that it is; the programs read variables.
set -eu
for file in /run/secrets/*; do
  [ -f "$file" ] || continue
  export "$(basename "$file")=$(cat "$file")"
done
# The container's own program, and none of `docker compose exec`: the health check ends it if it hangs.
if [ "$PPID" = 1 ]; then echo $$ > /tmp/main.pid; fi
exec "$@"
