-- name: save_level
-- Insert a level, or replace it by its incident and number.
INSERT INTO levels (
    incident_id, number, due_at, on_breach, unless_state, page, notify, state, settled_at, reason
) VALUES (
    :incident_id, :number, :due_at, :on_breach, :unless_state, :page, :notify, :state, :settled_at, :reason
)
ON CONFLICT (incident_id, number) DO UPDATE SET
    due_at = excluded.due_at, on_breach = excluded.on_breach, unless_state = excluded.unless_state,
    page = excluded.page, notify = excluded.notify, state = excluded.state, settled_at = excluded.settled_at,
    reason = excluded.reason

-- name: levels
-- Every level of an incident.
SELECT * FROM levels WHERE incident_id = :incident_id ORDER BY number

-- name: told_incidents
-- The newest incidents of a priority that have levels or messages.
SELECT id FROM incidents
WHERE priority = :priority AND opened_at > :since
    AND (
        EXISTS (SELECT 1 FROM levels WHERE incident_id = incidents.id)
        OR EXISTS (SELECT 1 FROM messages WHERE incident_id = incidents.id)
    )
ORDER BY opened_at DESC, id DESC LIMIT :limit

-- name: forget_levels
-- Delete an incident's levels.
DELETE FROM levels WHERE incident_id = :id
