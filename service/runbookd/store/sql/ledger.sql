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

-- name: recent_entries
-- The newest entries of all chains, as they arrived.
SELECT * FROM ledger WHERE TRUE /*filters: chain incident_id run_id event_id delivery_id stage what*/
ORDER BY rowid DESC LIMIT :limit

-- name: ledger_heads
-- The last entry of every chain.
WITH RECURSIVE names (chain) AS (
    SELECT min(chain) FROM ledger
    UNION ALL
    SELECT (SELECT min(ledger.chain) FROM ledger WHERE ledger.chain > names.chain) FROM names
    WHERE names.chain IS NOT NULL
)
SELECT ledger.* FROM names JOIN ledger ON ledger.chain = names.chain
WHERE ledger.seq = (SELECT max(last.seq) FROM ledger AS last WHERE last.chain = names.chain)
ORDER BY ledger.chain

-- name: ledger_rows
-- Entries of a chain as they stand, in order; the columns are those of `LedgerRow`.
SELECT chain, seq, text, previous, hash, stage, what, delivery_id, event_id, incident_id, run_id FROM ledger
WHERE chain = :chain AND seq > :after ORDER BY seq LIMIT :limit

-- name: ledger_anchors
-- The latest anchor of every chain; there are few: one per archive.
SELECT chain, seq, hash, seal FROM ledger_anchors
WHERE NOT EXISTS (
    SELECT 1 FROM ledger_anchors AS later WHERE later.chain = ledger_anchors.chain AND later.seq > ledger_anchors.seq
)
ORDER BY chain, seq

-- name: add_anchor
-- Record where an archive ends.
INSERT INTO ledger_anchors (chain, seq, hash, seal) VALUES (:chain, :seq, :hash, :seal)

-- name: rows_back
-- As `ledger_rows`, from an entry on backwards.
SELECT chain, seq, text, previous, hash, stage, what, delivery_id, event_id, incident_id, run_id FROM ledger
WHERE chain = :chain AND seq <= :seq ORDER BY seq DESC LIMIT :limit

-- name: forget_entries
-- Delete entries of a chain from one on, no further than its last anchor.
DELETE FROM ledger
WHERE chain = :chain AND seq >= :first AND seq < :first + :limit
AND seq <= (SELECT max(ledger_anchors.seq) FROM ledger_anchors WHERE ledger_anchors.chain = :chain)
