#!/bin/sh
# Makes stand-ins for the two base images where no registry can be reached, from Debian's packages:
#   housing-standin-python     python:3.11-slim-bookworm   (python, pip, venv)
#   housing-standin-postgres   postgres:17-bookworm        (its entry point's ways with variables)
# Needs root, debootstrap, and a Docker engine. Use: stand_ins.sh FOLDER
set -eu
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$folder/root
if [ ! -e "$root/.made" ]; then
  debootstrap --variant=minbase \
    --include=python3,python3-venv,python3-pip,ca-certificates,postgresql bookworm "$root"
  ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
  # A machine that reaches its package index through authorities of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$root/etc/pip.conf"; fi
  rm -rf "$root"/var/cache/apt/archives/*.deb
  touch "$root/.made"
fi
tar -C "$root" -c . | docker import --change 'CMD ["python"]' - housing-standin-python
context=$(mktemp -d)
trap 'rm -r "$context"' EXIT
cp -p "$here/standin-postgres.sh" "$context/entrypoint"
cat > "$context/Dockerfile" <<'EOF'
FROM housing-standin-python
COPY entrypoint /usr/local/bin/entrypoint
ENTRYPOINT ["/usr/local/bin/entrypoint"]
STOPSIGNAL SIGINT
EOF
docker build --quiet --tag housing-standin-postgres "$context"
