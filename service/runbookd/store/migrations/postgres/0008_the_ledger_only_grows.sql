-- needs: 1
-- An entry comes behind the last one of its chain, or is the first: none is put in before, nor where others were archived.
CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <> 1 + coalesce((SELECT max(seq) FROM ledger WHERE chain = NEW.chain), 0) THEN
        RAISE EXCEPTION 'the ledger cannot be written to but at its end'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ledger_only_grows BEFORE INSERT ON ledger
FOR EACH ROW EXECUTE FUNCTION ledger_only_grows();
