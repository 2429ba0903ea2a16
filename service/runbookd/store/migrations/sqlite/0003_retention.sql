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
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT;
CREATE TRIGGER ledger_anchors_hold BEFORE INSERT ON ledger_anchors
WHEN NOT EXISTS (SELECT 1 FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq AND hash = NEW.hash)
OR NOT EXISTS (SELECT 1 FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq + 1)
BEGIN
    SELECT RAISE(ABORT, 'an anchor names an entry of the ledger that another follows');
END;
CREATE TRIGGER ledger_anchors_never_change BEFORE UPDATE ON ledger_anchors
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be changed');
END;
CREATE TRIGGER ledger_anchors_never_go BEFORE DELETE ON ledger_anchors
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be deleted from');
END;
DROP TRIGGER ledger_never_forgets;
CREATE TRIGGER ledger_never_forgets BEFORE DELETE ON ledger
WHEN NOT EXISTS (SELECT 1 FROM ledger_anchors WHERE chain = OLD.chain AND seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be deleted from');
END;
