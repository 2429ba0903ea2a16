-- Which episodes a rule with `for_count` has counted; an episode may be counted by several rules.
CREATE TABLE rule_episodes (
    rule TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    PRIMARY KEY (rule, alert_id)
) STRICT;
CREATE INDEX rule_episodes_by_time ON rule_episodes (rule, first_seen);

-- Whether an episode's end was only concluded, from its sender no longer listing it.
ALTER TABLE alerts ADD COLUMN concluded INTEGER NOT NULL DEFAULT 0;
