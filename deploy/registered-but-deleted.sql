-- Versions of registered models whose run or model was deleted: `mlflow gc` ignores the registry, and would take what
-- they are made of. psql -X -f deploy/registered-but-deleted.sql mlflow
SELECT
    version.name,
    version.version,
    CASE WHEN run.run_uuid IS NULL THEN version.run_id END AS deleted_run,
    model.model_id AS deleted_model
FROM model_versions AS version
LEFT JOIN runs AS run ON run.run_uuid = version.run_id AND run.lifecycle_stage = 'active'
LEFT JOIN logged_models AS model
    ON version.source IN ('models:/' || model.model_id, model.artifact_location) AND model.lifecycle_stage = 'deleted'
WHERE version.current_stage <> 'Deleted_Internal' AND (run.run_uuid IS NULL OR model.model_id IS NOT NULL);
