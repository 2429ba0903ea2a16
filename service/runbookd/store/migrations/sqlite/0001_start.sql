-- The first schema. Times are microseconds since 1970, trees are JSON text, ids are made by the service.
-- There are no foreign keys: rows refer to each other by ids that are written in the same transaction, and the
-- only rows ever deleted are work, locks and switches.

-- Raw deliveries. The body lies apart, so that recording progress does not write it again.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    headers TEXT NOT NULL,
    remote TEXT,
    state TEXT NOT NULL,
    progress INTEGER NOT NULL,
    reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_time ON deliveries (received_at);
CREATE INDEX deliveries_by_state ON deliveries (state, received_at);

CREATE TABLE delivery_bodies (
    delivery_id TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    alert_id TEXT,
    incident_id TEXT,
    rule TEXT,
    event TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (received_at, id);
CREATE INDEX events_by_fingerprint ON events (fingerprint, received_at);
CREATE INDEX events_by_incident ON events (incident_id, received_at) WHERE incident_id IS NOT NULL;

-- Episodes. One open episode per fingerprint is a promise of the database.
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    received INTEGER NOT NULL,
    ends_at INTEGER,
    resolved_at INTEGER,
    incident_id TEXT,
    rule TEXT,
    event TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX alerts_one_open ON alerts (source, fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON alerts (source, fingerprint, resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_by_rule ON alerts (rule, first_seen) WHERE rule IS NOT NULL;

-- Which incidents an episode belongs to. `seq` is the order in which they were linked.
CREATE TABLE alert_incidents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    UNIQUE (alert_id, incident_id)
) STRICT;
CREATE INDEX alert_incidents_by_incident ON alert_incidents (incident_id);

CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    key TEXT NOT NULL,
    priority TEXT NOT NULL,
    title TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    resolved_at INTEGER,
    acknowledged_at INTEGER,
    responded_at INTEGER,
    escalated_at INTEGER,
    escalation_reason TEXT,
    escalation TEXT
) STRICT;
CREATE UNIQUE INDEX incidents_one_open ON incidents (rule, key) WHERE state = 'open';
CREATE INDEX incidents_by_time ON incidents (opened_at, id);
CREATE INDEX incidents_by_state ON incidents (state, opened_at);

CREATE TABLE clocks (
    incident_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    met_at INTEGER,
    breached_at INTEGER,
    PRIMARY KEY (incident_id, kind)
) STRICT, WITHOUT ROWID;

-- Runs. The partial indexes answer the guards without passing over refused runs, of which a storm makes many.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    playbook TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    scope TEXT NOT NULL,
    rule TEXT,
    key TEXT NOT NULL,
    rung INTEGER NOT NULL,
    alert_id TEXT,
    incident_id TEXT,
    target TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    mutated INTEGER NOT NULL,
    cancel_reason TEXT,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX runs_once ON runs (alert_id, coalesce(rule, ''), rung) WHERE alert_id IS NOT NULL;
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_state ON runs (state, created_at);
CREATE INDEX runs_by_incident ON runs (incident_id, created_at) WHERE incident_id IS NOT NULL;
CREATE INDEX runs_started ON runs (rule, key, created_at) WHERE state <> 'refused';
CREATE INDEX runs_ended ON runs (rule, key, ended_at) WHERE state <> 'refused' AND ended_at IS NOT NULL;
CREATE INDEX runs_acted ON runs (created_at) WHERE mode = 'act' AND state <> 'refused';
CREATE INDEX runs_mutated ON runs (target, coalesce(ended_at, created_at)) WHERE mutated <> 0;

-- The journal. `seq` is the order in which rows were first written.
CREATE TABLE steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    action TEXT,
    key TEXT NOT NULL,
    params TEXT NOT NULL,
    output TEXT NOT NULL,
    change TEXT,
    mutating INTEGER NOT NULL,
    temporary INTEGER NOT NULL,
    reason TEXT,
    message TEXT,
    due_at INTEGER,
    ended_at INTEGER,
    UNIQUE (run_id, path, attempt)
) STRICT;

CREATE TABLE evidence (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    taken_at INTEGER NOT NULL,
    incident_id TEXT,
    UNIQUE (run_id, name)
) STRICT;

CREATE TABLE plans (
    hash TEXT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE locks (
    target TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL,
    taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX locks_by_run ON locks (run_id);

-- Work. `wake_at` is the earliest wake-up made while somebody holds the row; NULL when there was none.
CREATE TABLE work (
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    wake_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, ref)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_due ON work (due_at);
CREATE INDEX work_free ON work (due_at) WHERE owner IS NULL;
CREATE INDEX work_held ON work (lease_until) WHERE owner IS NOT NULL;

-- A row that was finished and is added again goes on above every epoch given before, or else a worker of its
-- former life could pass the fence.
CREATE TABLE work_epoch (epoch INTEGER NOT NULL) STRICT;
INSERT INTO work_epoch (epoch) VALUES (0);
CREATE TRIGGER work_epoch_kept AFTER DELETE ON work
WHEN OLD.epoch > (SELECT epoch FROM work_epoch)
BEGIN
    UPDATE work_epoch SET epoch = OLD.epoch;
END;
CREATE TRIGGER work_epoch_goes_on AFTER INSERT ON work
WHEN NEW.epoch < (SELECT epoch FROM work_epoch)
BEGIN
    UPDATE work SET epoch = (SELECT epoch FROM work_epoch) WHERE kind = NEW.kind AND ref = NEW.ref;
END;

-- The ledger. Actor, time and detail are in the hashed text alone; the columns are those it is searched by.
CREATE TABLE ledger (
    chain TEXT NOT NULL,
    seq INTEGER NOT NULL,
    text TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    stage TEXT NOT NULL,
    what TEXT NOT NULL,
    delivery_id TEXT,
    event_id TEXT,
    incident_id TEXT,
    run_id TEXT,
    PRIMARY KEY (chain, seq)
) STRICT;
CREATE INDEX ledger_by_delivery ON ledger (delivery_id, seq) WHERE delivery_id IS NOT NULL;
CREATE INDEX ledger_by_event ON ledger (event_id, seq) WHERE event_id IS NOT NULL;
CREATE INDEX ledger_by_incident ON ledger (incident_id, seq) WHERE incident_id IS NOT NULL;
CREATE INDEX ledger_by_run ON ledger (run_id, seq) WHERE run_id IS NOT NULL;
CREATE TRIGGER ledger_never_changes BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be changed');
END;
CREATE TRIGGER ledger_never_forgets BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be deleted from');
END;

CREATE TABLE switches (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
