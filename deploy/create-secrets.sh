#!/bin/sh
# Copy server.env.example to a file that only its owner can read, with new random secrets: create-secrets.sh FILE
set -eu
umask 077
file=${1:?usage: create-secrets.sh FILE}
example=$(dirname "$0")/server.env.example
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

if [ -e "$file" ]; then
    echo "$file exists: its secrets are in use. Move it away to create new ones." >&2
    exit 1
fi
new=$file.new
trap 'rm -f "$new"' EXIT
while IFS= read -r line; do
    case $line in
    PGPASSWORD= | POSTGRES_ADMIN_PASSWORD= | MLFLOW_AUTH_ADMIN_PASSWORD= | MLFLOW_FLASK_SERVER_SECRET_KEY=)
        echo "$line$(random)"
        ;;
    *) echo "$line" ;;
    esac
done <"$example" >"$new"
mv "$new" "$file"
echo "$file has new secrets. Now set FINETRACK_SERVER_NAME, the TLS files and the S3 keys in it."
