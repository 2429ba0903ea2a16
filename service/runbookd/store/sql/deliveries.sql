-- name: add_delivery
-- Keep a delivery without its body.
INSERT INTO deliveries (id, source, received_at, sha256, headers, remote, state, progress, reason)
VALUES (:id, :source, :received_at, :sha256, :headers, :remote, :state, :progress, :reason)

-- name: add_body
-- Keep a delivery's body.
INSERT INTO delivery_bodies (delivery_id, body) VALUES (:delivery_id, :body)

-- name: delivery
-- One delivery.
SELECT * FROM deliveries JOIN delivery_bodies ON delivery_id = id WHERE id = :id

-- name: settle_delivery
-- Record how far a delivery has come.
UPDATE deliveries SET state = :state, progress = :progress, reason = :reason WHERE id = :id

-- name: pending_deliveries
-- How many deliveries wait to be taken apart, and since when.
SELECT count(*) AS waiting, min(received_at) AS oldest FROM deliveries WHERE state = 'pending'

-- name: dead_deliveries
-- How many dead letters are kept, and when the newest came.
SELECT count(*) AS dead, max(received_at) AS newest FROM deliveries WHERE state = 'dead'

-- name: recent_deliveries
-- The newest deliveries.
SELECT * FROM deliveries JOIN delivery_bodies ON delivery_id = id WHERE TRUE /*filters: state*/
ORDER BY received_at DESC, id DESC LIMIT :limit

-- name: add_event
-- Keep an event with its outcome.
INSERT INTO events
    (id, delivery_id, received_at, source, name, status, fingerprint, outcome, alert_id, incident_id, rule, event)
VALUES (
    :id, :delivery_id, :received_at, :source, :name, :status, :fingerprint, :outcome, :alert_id, :incident_id,
    :rule, :event
)

-- name: event
-- One event.
SELECT * FROM events WHERE id = :id

-- name: recent_events
-- The newest events.
SELECT * FROM events WHERE TRUE /*filters: source name status outcome delivery_id incident_id fingerprint rule*/
ORDER BY received_at DESC, id DESC LIMIT :limit
