-- Work waits in lanes, each with room of its own, so that a backlog of one holds up no other. What an older version
-- adds beside this one goes to the lane `rest`, where any kind may be.
ALTER TABLE work ADD COLUMN lane TEXT NOT NULL DEFAULT 'rest';
UPDATE work SET lane = 'runs' WHERE kind = 'advance';
UPDATE work SET lane = (SELECT 'admit ' || source FROM deliveries WHERE id = work.ref)
WHERE kind = 'admit' AND EXISTS (SELECT 1 FROM deliveries WHERE id = work.ref);
CREATE INDEX work_by_lane ON work (lane, due_at);
