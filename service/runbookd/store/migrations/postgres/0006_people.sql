-- Escalation: who has an incident, its levels, and the messages on their way to people.
ALTER TABLE incidents ADD COLUMN acknowledged_by TEXT;
ALTER TABLE incidents ADD COLUMN acknowledged_until BIGINT;
ALTER TABLE incidents ADD COLUMN assignee TEXT;
ALTER TABLE incidents ADD COLUMN channel TEXT;

CREATE TABLE levels (
    incident_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    due_at BIGINT,
    on_breach TEXT,
    unless_state TEXT,
    page TEXT NOT NULL,
    notify TEXT NOT NULL,
    state TEXT NOT NULL,
    settled_at BIGINT,
    reason TEXT,
    PRIMARY KEY (incident_id, number)
);

-- The outbox. A message is made in the transaction of what it tells, and sent by whoever claims its row of work.
CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    contact TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    incident_id TEXT,
    party TEXT NOT NULL,
    next_contacts TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    attempted_at BIGINT,
    reason TEXT,
    error TEXT,
    result TEXT NOT NULL,
    settled_at BIGINT
);
CREATE INDEX messages_by_time ON messages (created_at, id);
CREATE INDEX messages_by_incident ON messages (incident_id, created_at, id);
CREATE INDEX messages_by_state ON messages (state, created_at);

-- When a channel may be used again: one row for each of its limits.
CREATE TABLE rates (
    bucket TEXT NOT NULL PRIMARY KEY,
    next_at BIGINT NOT NULL
);

-- What people have done, by the name their door gave it: the same told twice is done once.
CREATE TABLE acts (
    key TEXT NOT NULL PRIMARY KEY,
    done_at BIGINT NOT NULL
);
