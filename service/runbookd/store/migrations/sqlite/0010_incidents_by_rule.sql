-- needs: 8
-- The latest incidents of a rule are found however many others there are.
CREATE INDEX incidents_by_rule ON incidents (priority, rule, opened_at, id);
