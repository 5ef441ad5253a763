-- Versions of registered models whose run or model was deleted: `mlflow gc` ignores the registry, and would take what
-- they are made of. A row without a version is a deleted run that holds the champions, which promote and rollback need. psql -X -f deploy/registered-but-deleted.sql mlflow
SELECT
    version.name,
    version.version,
    CASE WHEN run.run_uuid IS NULL THEN version.run_id END AS deleted_run,
    model.model_id AS deleted_model
FROM model_versions AS version
LEFT JOIN runs AS run ON run.run_uuid = version.run_id AND run.lifecycle_stage = 'active'
LEFT JOIN logged_models AS model
    ON version.source IN ('models:/' || model.model_id, model.artifact_location) AND model.lifecycle_stage = 'deleted'
WHERE version.current_stage <> 'Deleted_Internal' AND (run.run_uuid IS NULL OR model.model_id IS NOT NULL)
UNION ALL
SELECT
    tag.name,
    NULL AS version,
    tag.value AS deleted_run,
    NULL AS deleted_model
FROM registered_model_tags AS tag
LEFT JOIN runs AS run ON run.run_uuid = tag.value AND run.lifecycle_stage = 'active'
WHERE tag.key = 'finetrack.champion.run' AND run.run_uuid IS NULL;
