"""Every named reason runbookd records: why an event, a match, a run or a step came to what it came to.

One word per reason, the same in the ledger, the logs, the metrics and on the screen; the comment is what it
means for the reader.
"""

from __future__ import annotations

from enum import StrEnum


class Episode(StrEnum):
    """What an event means for its alert (`stages/admit.py`)."""

    NEW = "new_alert"  # a fresh episode begins
    REPEAT = "repeat"  # the open episode, told again
    STALE = "stale_firing"  # an old firing that arrived after its resolve; recorded, not run
    RESOLVED = "resolved"  # the open episode ends
    RESOLVED_UNSEEN = "resolved_unseen"  # a resolve for something never seen firing
    STALE_RESOLVE = "stale_resolve"  # a resolve older than the open episode
    UNKNOWN = "state_unknown"  # the sender cannot tell; nothing opens or closes


class Verdict(StrEnum):
    """Why a rule did or did not take an event (`stages/match.py`)."""

    MATCHED = "matched"  # it takes the event
    MATCHER = "matcher_failed"  # a label matcher does not hold
    WHEN_FALSE = "when_false"  # the CEL condition is false
    WHEN_ERROR = "when_error"  # the CEL condition could not be computed (a missing label, say)
    EARLIER = "earlier_rule_matched"  # an earlier rule took it and did not say `continue`
    FOR_COUNT = "for_count_not_reached"  # waits for more distinct episodes in its window
    FOR_COUNT_LATCHED = "for_count_fired"  # already fired once in its window


class Guard(StrEnum):
    """Whether a planned run may start (`stages/plan.py`)."""

    GO = "go"  # it starts
    JOINED = "joined_running_incident"  # the incident has a run under way
    DUPLICATE = "already_run_for_alert"  # this (alert, rule, rung) ran before
    MISSING_VALUE = "missing_value"  # a label used in key, target or inputs is not there
    BAD_INPUT = "bad_input"  # an input does not fit the playbook's declaration
    COOLDOWN = "cooldown"  # the last run for this key ended too recently
    LOOKED_LATELY = "looked_lately"  # the last run for this key changed nothing; again in a minute
    RUN_LIMIT = "run_limit"  # the rule's own limit for this key is used up
    TARGET_COOLDOWN = "target_cooldown"  # another rule acted on this target too recently
    TARGET_LOCKED = "target_locked"  # another run is at work on this target
    TARGET_WAITED_FOR = "target_waited_for"  # the run at work there is asked to stop for this one
    TARGET_ON_HOLD = "target_on_hold"  # a playbook that holds its target acted on it; a person releases it
    BUDGET = "budget_spent"  # the budget over all rules is used up
    PROTECTED = "protected_target"  # the target is on the protected list
    UNKNOWN_PLAYBOOK = "unknown_playbook"  # the playbook is gone since the rule was loaded


class StepReason(StrEnum):
    """Why a step ended as it did (`stages/execute.py`), besides the failure kinds an action reports."""

    WHEN_FALSE = "when_false"  # its condition is false, so it was skipped
    OBSERVED = "observed"  # a mutating call, not made in observe mode
    DRY_RUN = "dry_run"  # a mutating call in observe mode: asked what it would change, nothing was changed
    NEEDS_OBSERVED = "needs_observed_step"  # reads the result of a call that observe mode did not make
    ASSERT_FALSE = "assert_false"  # the result is not as the step asserts
    EXPRESSION = "expression_error"  # one of its expressions could not be computed
    TOO_MANY_ITEMS = "too_many_items"  # more items than `max_items`
    NO_ITEMS = "no_items"  # there was nothing to do it for
    IN_DOUBT = "in_doubt"  # the call may have happened, and nobody can tell
    PROBED_DONE = "probed_done"  # it was in doubt; the probe says it happened
    INTERRUPTED = "interrupted"  # it was in doubt; it may be, and is, done again
    CHILD_FAILED = "child_failed"  # an inner step failed
    BAD_INPUT = "bad_input"  # a sub-playbook was given inputs it does not take
    PAUSED = "paused"  # the switch stopped writes
    STOPPED = "stopped"  # cut off, or not waited for, without effect, because the run was to stop
    WAITED = "waited"  # its time has passed
    NO_ALERT = "no_alert"  # a run started by hand has no alert to wait for


class RunReason(StrEnum):
    """Why a run ended (`stages/execute.py`)."""

    VERIFIED = "verified"  # the trouble is gone
    DONE = "done"  # all steps done, and nothing to verify
    STEP_FAILED = "step_failed"  # a step failed that may not
    HANDED_OVER = "handed_over"  # all was done, and a last `flow.fail` gives the rest to people
    IN_DOUBT = "in_doubt"  # a call may have happened, and nobody can tell
    NOT_VERIFIED = "not_verified"  # the steps are done, the trouble is still there
    STALE = "stale"  # it was left alone for a while before it had changed anything: what it saw is old
    DEADLINE = "deadline"  # it took longer than the playbook allows
    CANCELLED = "cancelled"  # somebody, or its resolved alert, asked it to stop
    OBSERVED = "observed"  # planned and read, nothing changed


class Escalate(StrEnum):
    """Why people are told (`stages/escalate.py`)."""

    RUN_FAILED = "run_failed"  # a run failed
    RUN_UNVERIFIED = "run_unverified"  # a run did not help
    RUN_IN_DOUBT = "run_in_doubt"  # a call may have happened, and nobody can tell
    RUN_CANCELLED = "run_cancelled"  # a run was stopped before its end
    RUN_REFUSED = "run_refused"  # a limit, lock or guard kept a run from starting
    PAUSED = "paused"  # the switch stopped a run
    STORM_BRAKE = "storm_brake"  # too many runs began at once, so the service paused by itself
    CLOCK = "clock_breached"  # a promised time has passed
    INTERNAL = "internal_error"  # a mistake of runbookd itself


class Answer(StrEnum):
    """What became of what somebody did at a door outside (`units/answers.py`)."""

    DONE = "act_done"  # it was done
    UNCHANGED = "act_changed_nothing"  # it was so already, or the incident is over
    TOLD_BEFORE = "act_told_before"  # the same act, delivered again
    NO_INCIDENT = "act_without_incident"  # it is about no incident of ours
    STALE = "act_stale"  # it was done so long ago that its sender should have given up
    UNKNOWN_PERSON = "act_by_unknown_person"  # the settings name no person for the door's user
    NOT_A_PERSON = "act_by_automation"  # automation did it, our own calls among it
    NOT_ASKED = "act_asks_nothing"  # news of a kind that asks nothing of us
