#!/bin/sh
# Print nginx.conf.template with the values of server.env, which the environment has.
set -eu
FINETRACK_MLFLOW_ADDRESS=${FINETRACK_MLFLOW_ADDRESS:-${MLFLOW_HOST:-127.0.0.1}:${MLFLOW_PORT:-5000}}
text=$(cat "$(dirname "$0")/nginx.conf.template")
for name in FINETRACK_SERVER_NAME FINETRACK_SERVER_PORT FINETRACK_TLS_CERTIFICATE FINETRACK_TLS_KEY \
    FINETRACK_MLFLOW_ADDRESS; do
    eval "value=\${$name:-}"
    if [ -z "$value" ]; then
        echo "render-nginx.sh: $name is not set: see deploy/server.env.example" >&2
        exit 1
    fi
    text=$(printf '%s\n' "$text" | sed "s|\${$name}|$value|g")
done
printf '%s\n' "$text"
