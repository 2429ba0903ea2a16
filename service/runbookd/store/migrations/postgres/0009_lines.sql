-- needs: 8
-- Who waits for a channel whose limit leaves no room stands in its line, the urgent before the others. An older version
-- beside this one leaves nobody in it: what it has sent is settled, and counts no more.
ALTER TABLE messages ADD COLUMN line TEXT;
ALTER TABLE messages ADD COLUMN line_rank BIGINT;
CREATE INDEX messages_in_line ON messages (line, line_rank, created_at, id) WHERE line IS NOT NULL;
