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

-- name: forget_levels
-- Delete an incident's levels.
DELETE FROM levels WHERE incident_id = :id
