-- name: ledger_head
-- The last entry of a chain.
SELECT seq, hash FROM ledger WHERE chain = :chain ORDER BY seq DESC LIMIT 1

-- name: append_entry
-- Add an entry to a chain.
INSERT INTO ledger
    (chain, seq, text, previous, hash, stage, what, delivery_id, event_id, incident_id, run_id)
VALUES
    (:chain, :seq, :text, :previous, :hash, :stage, :what, :delivery_id, :event_id, :incident_id, :run_id)

-- name: entries
-- Entries of a chain, in order.
SELECT * FROM ledger
WHERE chain = :chain AND seq > :after /*filters: incident_id run_id event_id delivery_id stage what*/
ORDER BY seq LIMIT :limit
