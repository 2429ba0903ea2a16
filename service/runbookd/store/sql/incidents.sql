-- name: open_incident
-- The open incident of a rule and key.
SELECT * FROM incidents WHERE rule = :rule AND key = :key AND state = 'open'

-- name: incident
-- One incident.
SELECT * FROM incidents WHERE id = :id

-- name: save_incident
-- Insert an incident, or replace it by its id.
INSERT INTO incidents (
    id, rule, key, priority, title, opened_at, state, resolved_at, acknowledged_at, responded_at, escalated_at,
    escalation_reason, escalation, acknowledged_by, acknowledged_until, assignee, channel
) VALUES (
    :id, :rule, :key, :priority, :title, :opened_at, :state, :resolved_at, :acknowledged_at, :responded_at,
    :escalated_at, :escalation_reason, :escalation, :acknowledged_by, :acknowledged_until, :assignee, :channel
)
ON CONFLICT (id) DO UPDATE SET
    rule = excluded.rule, key = excluded.key, priority = excluded.priority, title = excluded.title,
    opened_at = excluded.opened_at, state = excluded.state, resolved_at = excluded.resolved_at,
    acknowledged_at = excluded.acknowledged_at, responded_at = excluded.responded_at,
    escalated_at = excluded.escalated_at, escalation_reason = excluded.escalation_reason,
    escalation = excluded.escalation, acknowledged_by = excluded.acknowledged_by,
    acknowledged_until = excluded.acknowledged_until, assignee = excluded.assignee, channel = excluded.channel

-- name: recent_incidents
-- The newest incidents.
SELECT * FROM incidents WHERE TRUE /*filters: state rule priority*/
ORDER BY opened_at DESC, id DESC LIMIT :limit

-- name: save_clock
-- Insert a clock, or replace it by its incident and kind.
INSERT INTO clocks (incident_id, kind, due_at, met_at, breached_at)
VALUES (:incident_id, :kind, :due_at, :met_at, :breached_at)
ON CONFLICT (incident_id, kind) DO UPDATE SET
    due_at = excluded.due_at, met_at = excluded.met_at, breached_at = excluded.breached_at

-- name: clocks
-- Every clock of an incident.
SELECT * FROM clocks WHERE incident_id = :incident_id ORDER BY due_at, kind
