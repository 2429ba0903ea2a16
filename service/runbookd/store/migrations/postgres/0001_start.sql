-- The first schema. Times are microseconds since 1970, trees are JSON text, ids are made by the service. Text holds
-- no zero byte in Postgres; one is kept as U+2400.
-- There are no foreign keys: rows refer to each other by ids that are written in the same transaction, and the
-- only rows ever deleted are work, locks and switches.

-- Raw deliveries. The body lies apart, so that recording progress does not write it again.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    headers TEXT NOT NULL,
    remote TEXT,
    state TEXT NOT NULL,
    progress BIGINT NOT NULL,
    reason TEXT
);
CREATE INDEX deliveries_by_time ON deliveries (received_at);
CREATE INDEX deliveries_by_state ON deliveries (state, received_at);

CREATE TABLE delivery_bodies (
    delivery_id TEXT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL
);

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    alert_id TEXT,
    incident_id TEXT,
    rule TEXT,
    event TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (received_at, id);
CREATE INDEX events_by_fingerprint ON events (fingerprint, received_at);
CREATE INDEX events_by_incident ON events (incident_id, received_at) WHERE incident_id IS NOT NULL;

-- Episodes. One open episode per fingerprint is a promise of the database.
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    received BIGINT NOT NULL,
    ends_at BIGINT,
    resolved_at BIGINT,
    incident_id TEXT,
    rule TEXT,
    event TEXT NOT NULL
);
CREATE UNIQUE INDEX alerts_one_open ON alerts (source, fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON alerts (source, fingerprint, resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_by_rule ON alerts (rule, first_seen) WHERE rule IS NOT NULL;

-- Which incidents an episode belongs to. `seq` is the order in which they were linked.
CREATE TABLE alert_incidents (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    UNIQUE (alert_id, incident_id)
);
CREATE INDEX alert_incidents_by_incident ON alert_incidents (incident_id);

CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    key TEXT NOT NULL,
    priority TEXT NOT NULL,
    title TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    resolved_at BIGINT,
    acknowledged_at BIGINT,
    responded_at BIGINT,
    escalated_at BIGINT,
    escalation_reason TEXT,
    escalation TEXT
);
CREATE UNIQUE INDEX incidents_one_open ON incidents (rule, key) WHERE state = 'open';
CREATE INDEX incidents_by_time ON incidents (opened_at, id);
CREATE INDEX incidents_by_state ON incidents (state, opened_at);

CREATE TABLE clocks (
    incident_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    met_at BIGINT,
    breached_at BIGINT,
    PRIMARY KEY (incident_id, kind)
);

-- Runs. The partial indexes answer the guards without passing over refused runs, of which a storm makes many.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    playbook TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    scope TEXT NOT NULL,
    rule TEXT,
    key TEXT NOT NULL,
    rung BIGINT NOT NULL,
    alert_id TEXT,
    incident_id TEXT,
    target TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    mutated BIGINT NOT NULL,
    cancel_reason TEXT,
    ended_at BIGINT
);
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
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    state TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    action TEXT,
    key TEXT NOT NULL,
    params TEXT NOT NULL,
    output TEXT NOT NULL,
    change TEXT,
    mutating BIGINT NOT NULL,
    temporary BIGINT NOT NULL,
    reason TEXT,
    message TEXT,
    due_at BIGINT,
    ended_at BIGINT,
    UNIQUE (run_id, path, attempt)
);

CREATE TABLE evidence (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content BYTEA NOT NULL,
    sha256 TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    incident_id TEXT,
    UNIQUE (run_id, name)
);

CREATE TABLE plans (
    hash TEXT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
);

CREATE TABLE locks (
    target TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL,
    taken_at BIGINT NOT NULL
);
CREATE INDEX locks_by_run ON locks (run_id);

-- Work. `wake_at` is the earliest wake-up made while somebody holds the row; NULL when there was none.
CREATE TABLE work (
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT,
    wake_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, ref)
);
CREATE INDEX work_due ON work (due_at);
CREATE INDEX work_free ON work (due_at) WHERE owner IS NULL;
CREATE INDEX work_held ON work (lease_until) WHERE owner IS NOT NULL;

-- Every claim is numbered above all claims before it, or else a worker of a row's former life (finished, and added
-- again) could pass the fence. A sequence gives the numbers, so that replicas do not wait for each other.
CREATE SEQUENCE work_epochs;
CREATE FUNCTION work_epoch_goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.epoch := nextval('work_epochs');
    RETURN NEW;
END
$$;
CREATE TRIGGER work_epoch_goes_on BEFORE UPDATE ON work
FOR EACH ROW WHEN (NEW.epoch <> OLD.epoch) EXECUTE FUNCTION work_epoch_goes_on();

-- The ledger. Actor, time and detail are in the hashed text alone; the columns are those it is searched by. `rowid`
-- is the order of arrival over all chains, as SQLite numbers rows by itself.
CREATE TABLE ledger (
    chain TEXT NOT NULL,
    seq BIGINT NOT NULL,
    text TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    stage TEXT NOT NULL,
    what TEXT NOT NULL,
    delivery_id TEXT,
    event_id TEXT,
    incident_id TEXT,
    run_id TEXT,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX ledger_by_delivery ON ledger (delivery_id, seq) WHERE delivery_id IS NOT NULL;
CREATE INDEX ledger_by_event ON ledger (event_id, seq) WHERE event_id IS NOT NULL;
CREATE INDEX ledger_by_incident ON ledger (incident_id, seq) WHERE incident_id IS NOT NULL;
CREATE INDEX ledger_by_run ON ledger (run_id, seq) WHERE run_id IS NOT NULL;
CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger cannot be %', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER ledger_never_changes BEFORE UPDATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('changed');
CREATE TRIGGER ledger_never_forgets BEFORE DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('deleted from');

CREATE TABLE switches (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Nothing is in it: replicas that decide hold it together, and one whose decision touched another's holds it alone.
CREATE TABLE deciding ();
