#!/bin/sh
# Print the SQL that creates the role and the databases of MLflow, for psql as PostgreSQL's administrator.
# Two databases: one for runs, one for users and their permissions. The environment has PGUSER and PGPASSWORD.
set -eu
: "${PGUSER:?is not set: load server.env}" "${PGPASSWORD:?is not set: load server.env}"
cat <<SQL
SELECT 'CREATE ROLE "$PGUSER" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$PGUSER') \gexec
ALTER ROLE "$PGUSER" PASSWORD '$PGPASSWORD';
CREATE DATABASE mlflow OWNER "$PGUSER" TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE mlflow_auth OWNER "$PGUSER" TEMPLATE template0 ENCODING 'UTF8';
REVOKE CONNECT ON DATABASE mlflow, mlflow_auth FROM PUBLIC;
SQL
