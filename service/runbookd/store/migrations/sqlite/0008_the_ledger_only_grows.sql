-- needs: 1
-- An entry comes behind the last one of its chain, or is the first: none is put in before, nor where others were archived.
CREATE TRIGGER ledger_only_grows BEFORE INSERT ON ledger
WHEN NEW.seq <> 1 + coalesce((SELECT max(seq) FROM ledger WHERE chain = NEW.chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'the ledger cannot be written to but at its end');
END;
