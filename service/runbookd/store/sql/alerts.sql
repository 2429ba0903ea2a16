-- name: open_alert
-- The open episode of a fingerprint.
SELECT * FROM alerts WHERE source = :source AND fingerprint = :fingerprint AND resolved_at IS NULL

-- name: last_resolved_alert
-- The episode of a fingerprint that resolved last.
SELECT * FROM alerts WHERE source = :source AND fingerprint = :fingerprint AND resolved_at IS NOT NULL
ORDER BY resolved_at DESC, first_seen DESC, id DESC LIMIT 1

-- name: alert
-- One episode.
SELECT * FROM alerts WHERE id = :id

-- name: save_alert
-- Insert an episode, or replace it by its id.
INSERT INTO alerts (
    id, source, fingerprint, starts_at, first_seen, last_seen, received, ends_at, resolved_at, incident_id, rule,
    event, concluded
) VALUES (
    :id, :source, :fingerprint, :starts_at, :first_seen, :last_seen, :received, :ends_at, :resolved_at,
    :incident_id, :rule, :event, :concluded
)
ON CONFLICT (id) DO UPDATE SET
    source = excluded.source, fingerprint = excluded.fingerprint, starts_at = excluded.starts_at,
    first_seen = excluded.first_seen, last_seen = excluded.last_seen, received = excluded.received,
    ends_at = excluded.ends_at, resolved_at = excluded.resolved_at, incident_id = excluded.incident_id,
    rule = excluded.rule, event = excluded.event, concluded = excluded.concluded

-- name: open_alerts_of_source
-- Every open episode of a source.
SELECT * FROM alerts WHERE source = :source AND resolved_at IS NULL ORDER BY first_seen, id

-- name: link_alert
-- Make an episode part of an incident.
INSERT INTO alert_incidents (alert_id, incident_id) VALUES (:alert_id, :incident_id)
ON CONFLICT (alert_id, incident_id) DO NOTHING

-- name: alerts_of_incident
-- Every episode linked to an incident.
SELECT alerts.* FROM alert_incidents JOIN alerts ON alerts.id = alert_incidents.alert_id
WHERE alert_incidents.incident_id = :incident_id ORDER BY alerts.first_seen, alerts.id

-- name: open_of_incident
-- One open episode linked to an incident, if there is any.
SELECT alerts.id FROM alert_incidents JOIN alerts ON alerts.id = alert_incidents.alert_id
WHERE alert_incidents.incident_id = :incident_id AND alerts.resolved_at IS NULL LIMIT 1

-- name: incidents_of_alert
-- The incidents an episode is linked to.
SELECT incident_id FROM alert_incidents WHERE alert_id = :alert_id ORDER BY seq

-- name: count_alerts
-- How many episodes a rule has counted since a time.
SELECT count(*) AS episodes FROM rule_episodes WHERE rule = :rule AND first_seen >= :since

-- name: count_incidents
-- How many incidents the episodes are linked to that a rule has counted since a time.
SELECT count(DISTINCT alert_incidents.incident_id) AS episodes
FROM rule_episodes JOIN alert_incidents ON alert_incidents.alert_id = rule_episodes.alert_id
WHERE rule_episodes.rule = :rule AND rule_episodes.first_seen >= :since

-- name: count_episode
-- Count an episode for a rule, once.
INSERT INTO rule_episodes (rule, alert_id, first_seen) VALUES (:rule, :alert_id, :first_seen)
ON CONFLICT (rule, alert_id) DO NOTHING

-- name: count_open_alerts
-- How many episodes are open.
SELECT count(*) AS episodes FROM alerts WHERE resolved_at IS NULL
