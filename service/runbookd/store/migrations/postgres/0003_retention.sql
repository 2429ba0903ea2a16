-- What the search for old rows goes by.
CREATE INDEX events_by_delivery ON events (delivery_id);
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX alerts_by_end ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX incidents_by_end ON incidents (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX rule_episodes_by_alert ON rule_episodes (alert_id);

-- Where the ledger's archives end. A chain's entries up to its last anchor are in archives, and those alone may be
-- deleted; the entry after an anchor must be there, so that a chain never loses its end.
CREATE TABLE ledger_anchors (
    chain TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE FUNCTION ledger_anchors_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq AND hash = NEW.hash)
    OR NOT EXISTS (SELECT 1 FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq + 1) THEN
        RAISE EXCEPTION 'an anchor names an entry of the ledger that another follows'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ledger_anchors_hold BEFORE INSERT ON ledger_anchors
FOR EACH ROW EXECUTE FUNCTION ledger_anchors_hold();
CREATE TRIGGER ledger_anchors_never_change BEFORE UPDATE ON ledger_anchors
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('changed');
CREATE TRIGGER ledger_anchors_never_go BEFORE DELETE OR TRUNCATE ON ledger_anchors
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('deleted from');

CREATE FUNCTION ledger_forgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_anchors WHERE chain = OLD.chain AND seq >= OLD.seq) THEN
        RAISE EXCEPTION 'the ledger cannot be deleted from' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END
$$;
DROP TRIGGER ledger_never_forgets ON ledger;
CREATE TRIGGER ledger_never_forgets BEFORE DELETE ON ledger
FOR EACH ROW EXECUTE FUNCTION ledger_forgets();
CREATE TRIGGER ledger_never_emptied BEFORE TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('deleted from');
