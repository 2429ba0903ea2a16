-- name: add_message
-- Keep a new message; nothing when its key is there.
INSERT INTO messages (
    id, key, kind, channel, address, contact, created_at, incident_id, party, next_contacts, facts, words,
    state, attempts, epoch, attempted_at, reason, error, result, settled_at
) VALUES (
    :id, :key, :kind, :channel, :address, :contact, :created_at, :incident_id, :party, :next_contacts,
    :facts, :words, :state, :attempts, :epoch, :attempted_at, :reason, :error, :result, :settled_at
) ON CONFLICT (key) DO NOTHING

-- name: message
-- One message.
SELECT * FROM messages WHERE id = :id

-- name: save_message
-- Replace what changes of a message, which is in no line then.
UPDATE messages SET
    kind = :kind, address = :address, contact = :contact, next_contacts = :next_contacts, facts = :facts,
    words = :words, state = :state, attempts = :attempts, epoch = :epoch, attempted_at = :attempted_at,
    reason = :reason, error = :error, result = :result, settled_at = :settled_at, line = NULL, line_rank = NULL
WHERE id = :id

-- name: messages_of
-- Every message of an incident.
SELECT * FROM messages WHERE incident_id = :incident_id ORDER BY created_at, id

-- name: recent_messages
-- The newest messages.
SELECT * FROM messages WHERE TRUE /*filters: state channel kind incident_id*/
ORDER BY created_at DESC, id DESC LIMIT :limit

-- name: unsettled_messages
-- How many messages are on their way, and since when.
SELECT count(*) AS waiting, min(created_at) AS oldest FROM messages WHERE state IN ('pending', 'sending')

-- name: rate
-- Up to when a bucket is used.
SELECT next_at FROM rates WHERE bucket = :bucket

-- name: set_rate
-- Say up to when a bucket is used.
INSERT INTO rates (bucket, next_at) VALUES (:bucket, :next_at)
ON CONFLICT (bucket) DO UPDATE SET next_at = excluded.next_at

-- name: line_up
-- Put a message into a line.
UPDATE messages SET line = :line, line_rank = :line_rank WHERE id = :id

-- name: first_in_line
-- The message whose turn is next.
SELECT id FROM messages WHERE line = :line AND state IN ('pending', 'sending')
ORDER BY line_rank, created_at, id LIMIT 1

-- name: ahead_in_line
-- How many are before this place in a line.
SELECT count(*) AS ahead FROM messages
WHERE line = :line AND (line_rank, created_at, id) < (:line_rank, :created_at, :id) AND state IN ('pending', 'sending')

-- name: add_act
-- Keep what a person has done; nothing when it is there.
INSERT INTO acts (key, done_at) VALUES (:key, :done_at) ON CONFLICT (key) DO NOTHING

-- name: forget_messages
-- Delete an incident's messages.
DELETE FROM messages WHERE incident_id = :id
