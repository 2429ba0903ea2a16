-- name: add_run
-- Keep a new run, unless its alert, rule and rung have one.
INSERT INTO runs (
    id, playbook, plan_hash, mode, created_at, deadline_at, scope, rule, key, rung, alert_id, incident_id, target,
    state, reason, mutated, cancel_reason, ended_at
) VALUES (
    :id, :playbook, :plan_hash, :mode, :created_at, :deadline_at, :scope, :rule, :key, :rung, :alert_id,
    :incident_id, :target, :state, :reason, :mutated, :cancel_reason, :ended_at
)
ON CONFLICT (alert_id, coalesce(rule, ''), rung) WHERE alert_id IS NOT NULL DO NOTHING

-- name: run
-- One run.
SELECT * FROM runs WHERE id = :id

-- name: save_run
-- Replace a run by its id.
UPDATE runs SET
    playbook = :playbook, plan_hash = :plan_hash, mode = :mode, created_at = :created_at,
    deadline_at = :deadline_at, scope = :scope, rule = :rule, key = :key, rung = :rung, alert_id = :alert_id,
    incident_id = :incident_id, target = :target, state = :state, reason = :reason, mutated = :mutated,
    cancel_reason = :cancel_reason, ended_at = :ended_at
WHERE id = :id

-- name: recent_runs
-- The newest runs.
SELECT * FROM runs WHERE TRUE /*filters: state playbook rule incident_id alert_id target mode*/
ORDER BY created_at DESC, id DESC LIMIT :limit

-- name: running_of_incident
-- Every run of an incident that has not ended.
SELECT * FROM runs WHERE incident_id = :incident_id AND state = 'running' ORDER BY created_at, id

-- name: last_ended
-- When the latest started run of a rule and key ended.
SELECT max(ended_at) AS at FROM runs
WHERE rule = :rule AND key = :key AND state <> 'refused' AND ended_at IS NOT NULL

-- name: last_ended_acted
-- When the latest run of a rule and key ended that meant to change something.
SELECT max(ended_at) AS at FROM runs
WHERE rule = :rule AND key = :key AND state <> 'refused' AND ended_at IS NOT NULL AND mutated <> 0

-- name: last_acted
-- When a run last meant to change a target.
SELECT max(coalesce(ended_at, created_at)) AS at FROM runs WHERE target = :target AND mutated <> 0

-- name: started_since
-- How many runs of a rule and key were started since a time that changed something, or may yet.
SELECT count(*) AS started FROM runs
WHERE rule = :rule AND key = :key AND created_at >= :since AND state <> 'refused'
AND (mutated <> 0 OR state = 'running')

-- name: cancel_reason
-- Why a run is asked to stop.
SELECT cancel_reason FROM runs WHERE id = :id

-- name: acted_since
-- How many runs in act mode were started since a time that changed something, or may yet; counted no further than :most.
SELECT count(*) AS started FROM (
    SELECT 1 FROM runs WHERE mode = 'act' AND state <> 'refused' AND created_at >= :since
    AND (mutated <> 0 OR state = 'running') LIMIT :most
) AS counted

-- name: save_step
-- Insert an attempt at a step, or replace it by its run, path and attempt.
INSERT INTO steps (
    run_id, path, attempt, state, started_at, epoch, action, key, params, output, change, mutating, temporary,
    reason, message, due_at, ended_at
) VALUES (
    :run_id, :path, :attempt, :state, :started_at, :epoch, :action, :key, :params, :output, :change, :mutating,
    :temporary, :reason, :message, :due_at, :ended_at
)
ON CONFLICT (run_id, path, attempt) DO UPDATE SET
    state = excluded.state, started_at = excluded.started_at, epoch = excluded.epoch, action = excluded.action,
    key = excluded.key, params = excluded.params, output = excluded.output, change = excluded.change,
    mutating = excluded.mutating, temporary = excluded.temporary, reason = excluded.reason,
    message = excluded.message, due_at = excluded.due_at, ended_at = excluded.ended_at

-- name: steps
-- A run's journal, in the order the rows were first written.
SELECT * FROM steps WHERE run_id = :run_id ORDER BY seq

-- name: add_evidence
-- Keep a piece of evidence, or replace it by its run and name.
INSERT INTO evidence (run_id, name, media_type, content, sha256, taken_at, incident_id)
VALUES (:run_id, :name, :media_type, :content, :sha256, :taken_at, :incident_id)
ON CONFLICT (run_id, name) DO UPDATE SET
    media_type = excluded.media_type, content = excluded.content, sha256 = excluded.sha256,
    taken_at = excluded.taken_at, incident_id = excluded.incident_id

-- name: listed_evidence
-- Every piece of evidence of a run without its content, which is not read for its length.
SELECT run_id, name, media_type, length(content) AS size, sha256, taken_at
FROM evidence WHERE run_id = :run_id ORDER BY taken_at, seq

-- name: evidence
-- Every piece of evidence of a run.
SELECT * FROM evidence WHERE run_id = :run_id ORDER BY taken_at, seq

-- name: add_plan
-- Keep the frozen playbooks under their hash.
INSERT INTO plans (hash, text) VALUES (:hash, :text) ON CONFLICT (hash) DO NOTHING

-- name: plan
-- The frozen playbooks of a hash.
SELECT text FROM plans WHERE hash = :hash

-- name: lock_target
-- Take a target for a run unless another holds it; tell who holds it now.
INSERT INTO locks (target, run_id, taken_at) VALUES (:target, :run_id, :taken_at)
ON CONFLICT (target) DO UPDATE SET run_id = locks.run_id
RETURNING run_id

-- name: holder
-- The run that holds a target.
SELECT run_id FROM locks WHERE target = :target

-- name: unlock_targets
-- Release whatever a run holds.
DELETE FROM locks WHERE run_id = :run_id

-- name: add_hold
-- Keep a target for people; a hold of that playbook that is there already stands.
INSERT INTO holds (target, playbook, run_id, incident_id, held_at)
VALUES (:target, :playbook, :run_id, :incident_id, :held_at) ON CONFLICT (target, playbook) DO NOTHING

-- name: holds_of
-- What holds a target for people, oldest first.
SELECT * FROM holds WHERE target = :target ORDER BY held_at, playbook

-- name: holds
-- Every hold, oldest first.
SELECT * FROM holds ORDER BY held_at, target

-- name: release_hold
-- End a hold.
DELETE FROM holds WHERE target = :target AND playbook = :playbook
