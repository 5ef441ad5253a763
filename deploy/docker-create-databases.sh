#!/bin/sh
# Run by the postgres image when its volume is empty.
set -eu
PGUSER=$MLFLOW_ROLE PGPASSWORD=$MLFLOW_ROLE_PASSWORD sh /opt/finetrack/create-databases.sh |
    psql -v ON_ERROR_STOP=1 -U postgres -q
