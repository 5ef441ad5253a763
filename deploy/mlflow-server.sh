#!/bin/sh
# Start MLflow as the team's server: PostgreSQL, users and permissions, files only through the server.
# systemd, Docker and the tests start it; its settings are the variables of server.env.example.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
PATH=$here/../.venv-server/bin:$PATH

for name in FINETRACK_SERVER_NAME FINETRACK_SERVER_PORT PGHOST PGUSER MLFLOW_ARTIFACTS_DESTINATION \
    MLFLOW_AUTH_ADMIN_USERNAME MLFLOW_FLASK_SERVER_SECRET_KEY; do
    eval "value=\${$name:-}"
    if [ -z "$value" ]; then
        echo "mlflow-server.sh: $name is not set: see deploy/server.env.example" >&2
        exit 1
    fi
done

# An empty variable, as Docker and systemd pass it for a setting that is left out, is no address.
for name in MLFLOW_S3_ENDPOINT_URL AWS_DEFAULT_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || unset "$name"
done

# The databases' addresses hold no password: libpq reads PGHOST, PGPORT, PGUSER and PGPASSWORD.
export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg:///mlflow
export MLFLOW_AUTH_CONFIG_PATH=$here/basic-auth.ini
export MLFLOW_SERVER_ALLOWED_HOSTS=$FINETRACK_SERVER_NAME
export MLFLOW_SERVER_CORS_ALLOWED_ORIGINS=https://$FINETRACK_SERVER_NAME,https://$FINETRACK_SERVER_NAME:$FINETRACK_SERVER_PORT
# What a team that trains does not use: requests to language models, code that the server runs for users.
export MLFLOW_ENABLE_AI_GATEWAY=false
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
export MLFLOW_DISABLE_TELEMETRY=true
export DO_NOT_TRACK=true

exec mlflow server --app-name basic-auth --serve-artifacts \
    --host "${MLFLOW_HOST:-127.0.0.1}" --port "${MLFLOW_PORT:-5000}" --workers "${MLFLOW_WORKERS:-2}"
