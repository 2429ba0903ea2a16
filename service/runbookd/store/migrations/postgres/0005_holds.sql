-- Targets kept as a run left them, until a person releases them.
CREATE TABLE holds (
    target TEXT NOT NULL PRIMARY KEY,
    playbook TEXT NOT NULL,
    run_id TEXT NOT NULL,
    incident_id TEXT,
    held_at BIGINT NOT NULL
);
CREATE INDEX holds_by_time ON holds (held_at, target);
