-- name: add_work
-- Add a row, or make it due earlier; a row somebody holds also remembers the wake-up for when it is released.
INSERT INTO work (kind, ref, due_at, lane) VALUES (:kind, :ref, :due_at, :lane) /*wakes*/
ON CONFLICT (kind, ref) DO UPDATE SET
    due_at = CASE WHEN excluded.due_at < work.due_at THEN excluded.due_at ELSE work.due_at END,
    wake_at = CASE
        WHEN work.owner IS NULL THEN NULL
        WHEN work.wake_at < excluded.due_at THEN work.wake_at
        ELSE excluded.due_at
    END

-- name: claim_work
-- Take due rows of known kinds that nobody holds. A wake-up that is due is answered by this claim; a later one is kept.
-- `kind || ''`, here and below, keeps the search on what is due: an index of kinds would lead to every row there is.
WITH due AS MATERIALIZED (
    SELECT kind, ref FROM work
    WHERE due_at <= :now AND (lease_until IS NULL OR lease_until <= :now) /*filters: lane*/
    AND kind || '' IN ('admit', 'plan', 'advance', 'escalate', 'clock', 'reconcile', 'prune', 'send')
    ORDER BY due_at, kind, ref LIMIT :limit /*skip_locked*/
)
UPDATE work SET
    owner = :owner, epoch = epoch + 1, lease_until = :lease_until,
    wake_at = CASE WHEN wake_at > :now THEN wake_at END
WHERE (kind, ref) IN (SELECT kind, ref FROM due)
RETURNING kind, ref, due_at, owner, epoch, lease_until, attempts

-- name: take_work
-- Take one named row that nobody holds, whenever it is due.
UPDATE work SET
    owner = :owner, epoch = epoch + 1, lease_until = :lease_until,
    wake_at = CASE WHEN wake_at > :now THEN wake_at END
WHERE kind = :kind AND ref = :ref AND (lease_until IS NULL OR lease_until <= :now)
RETURNING kind, ref, due_at, owner, epoch, lease_until, attempts

-- name: hold_work
-- Extend a lease that is still the holder's.
UPDATE work SET lease_until = :lease_until
WHERE kind = :kind AND ref = :ref AND owner = :owner AND epoch = :epoch

-- name: delete_work
-- Delete a held row that nobody woke up meanwhile.
DELETE FROM work
WHERE kind = :kind AND ref = :ref AND owner = :owner AND epoch = :epoch AND wake_at IS NULL

-- name: release_woken_work
-- Release a held row until the wake-up that was made meanwhile.
UPDATE work SET due_at = wake_at, wake_at = NULL, owner = NULL, lease_until = NULL, attempts = 0
WHERE kind = :kind AND ref = :ref AND owner = :owner AND epoch = :epoch AND wake_at IS NOT NULL

-- name: reschedule_work
-- Release a held row until a time, or until an earlier wake-up that was made meanwhile.
UPDATE work SET
    due_at = CASE WHEN wake_at < :due_at THEN wake_at ELSE :due_at END,
    wake_at = NULL, owner = NULL, lease_until = NULL, attempts = :attempts
WHERE kind = :kind AND ref = :ref AND owner = :owner AND epoch = :epoch

-- name: inherit_work
-- Release the rows of an owner who is gone; what it was about is decided by whoever claims them next.
UPDATE work SET owner = NULL, lease_until = NULL
WHERE owner IS NOT NULL AND lease_until > 0 AND substr(owner, 1, length(:prefix)) = :prefix

-- name: next_free
-- When the nearest row that nobody holds is due.
SELECT min(due_at) AS at FROM work WHERE owner IS NULL
AND kind || '' IN ('admit', 'plan', 'advance', 'escalate', 'clock', 'reconcile', 'prune', 'send')

-- name: next_lapse
-- When the nearest held row can be claimed by another: its lease has run out and it is due.
SELECT min(CASE WHEN lease_until < due_at THEN due_at ELSE lease_until END) AS at
FROM work WHERE owner IS NOT NULL
AND kind || '' IN ('admit', 'plan', 'advance', 'escalate', 'clock', 'reconcile', 'prune', 'send')

-- name: overdue_work
-- How many rows that nobody is at were due before now, and since when.
SELECT count(*) AS late, min(due_at) AS oldest FROM work
WHERE due_at < :now AND (lease_until IS NULL OR lease_until <= :now)
