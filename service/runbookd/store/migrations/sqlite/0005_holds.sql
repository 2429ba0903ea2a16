-- Targets kept as runs left them, until a person releases them from each playbook that holds them.
CREATE TABLE holds (
    target TEXT NOT NULL,
    playbook TEXT NOT NULL,
    run_id TEXT NOT NULL,
    incident_id TEXT,
    held_at INTEGER NOT NULL,
    PRIMARY KEY (target, playbook)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_time ON holds (held_at, target);
