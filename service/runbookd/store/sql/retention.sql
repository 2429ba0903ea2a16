-- name: old_deliveries
-- Deliveries taken apart long ago, none of whose events is about something open.
SELECT id FROM deliveries
WHERE received_at < :before AND state <> 'pending'
AND NOT EXISTS (SELECT 1 FROM work WHERE work.kind = 'admit' AND work.ref = deliveries.id)
AND NOT EXISTS (
    SELECT 1 FROM events JOIN alerts ON alerts.id = events.alert_id
    WHERE events.delivery_id = deliveries.id AND alerts.resolved_at IS NULL
)
AND NOT EXISTS (
    SELECT 1 FROM events JOIN incidents ON incidents.id = events.incident_id
    WHERE events.delivery_id = deliveries.id AND incidents.state = 'open'
)
ORDER BY received_at LIMIT :limit

-- name: forget_delivery
-- Delete a delivery.
DELETE FROM deliveries WHERE id = :id

-- name: forget_body
-- Delete a delivery's body.
DELETE FROM delivery_bodies WHERE delivery_id = :id

-- name: old_events
-- Events of long ago about nothing that is open.
SELECT id FROM events
WHERE received_at < :before
AND NOT EXISTS (SELECT 1 FROM alerts WHERE alerts.id = events.alert_id AND alerts.resolved_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = events.incident_id AND incidents.state = 'open')
ORDER BY received_at LIMIT :limit

-- name: forget_event
-- Delete an event.
DELETE FROM events WHERE id = :id

-- name: old_runs
-- Runs that ended long ago, of no open incident or alert.
SELECT id FROM runs
WHERE ended_at < :before AND state <> 'running'
AND NOT EXISTS (SELECT 1 FROM work WHERE work.kind = 'advance' AND work.ref = runs.id)
AND NOT EXISTS (SELECT 1 FROM locks WHERE locks.run_id = runs.id)
AND NOT EXISTS (SELECT 1 FROM alerts WHERE alerts.id = runs.alert_id AND alerts.resolved_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = runs.incident_id AND incidents.state = 'open')
ORDER BY ended_at LIMIT :limit

-- name: forget_run
-- Delete a run.
DELETE FROM runs WHERE id = :id

-- name: forget_steps
-- Delete a run's journal.
DELETE FROM steps WHERE run_id = :id

-- name: forget_evidence
-- Delete a run's evidence.
DELETE FROM evidence WHERE run_id = :id

-- name: old_alerts
-- Episodes that ended long ago, with no run left and in no open incident.
SELECT id FROM alerts
WHERE resolved_at < :before
AND NOT EXISTS (SELECT 1 FROM work WHERE work.kind = 'plan' AND work.ref = alerts.id)
AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.alert_id = alerts.id)
AND NOT EXISTS (
    SELECT 1 FROM alert_incidents JOIN incidents ON incidents.id = alert_incidents.incident_id
    WHERE alert_incidents.alert_id = alerts.id AND incidents.state = 'open'
)
ORDER BY resolved_at LIMIT :limit

-- name: forget_alert
-- Delete an episode.
DELETE FROM alerts WHERE id = :id

-- name: forget_links
-- Delete an episode's links to incidents.
DELETE FROM alert_incidents WHERE alert_id = :id

-- name: forget_counts
-- Delete what rules have counted of an episode.
DELETE FROM rule_episodes WHERE alert_id = :id

-- name: old_incidents
-- Incidents resolved long ago, with no run and no alert left.
SELECT id FROM incidents
WHERE resolved_at < :before AND state <> 'open'
AND NOT EXISTS (
    SELECT 1 FROM work WHERE work.kind IN ('clock', 'escalate') AND work.ref = incidents.id
)
AND NOT EXISTS (
    SELECT 1 FROM messages WHERE messages.incident_id = incidents.id AND messages.state IN ('pending', 'sending')
)
AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.incident_id = incidents.id)
AND NOT EXISTS (SELECT 1 FROM alert_incidents WHERE alert_incidents.incident_id = incidents.id)
ORDER BY resolved_at LIMIT :limit

-- name: forget_incident
-- Delete an incident.
DELETE FROM incidents WHERE id = :id

-- name: forget_clocks
-- Delete an incident's clocks.
DELETE FROM clocks WHERE incident_id = :id

-- name: old_acts
-- Keys of what people did long ago.
SELECT key AS id FROM acts WHERE done_at < :before ORDER BY done_at LIMIT :limit

-- name: forget_act
-- Delete the key of what somebody did.
DELETE FROM acts WHERE key = :id

-- name: old_messages
-- Messages of long ago about no incident: answers to what somebody asked for.
SELECT id FROM messages
WHERE incident_id IS NULL AND created_at < :before AND settled_at IS NOT NULL
ORDER BY created_at LIMIT :limit

-- name: forget_message
-- Delete a message.
DELETE FROM messages WHERE id = :id
