"""Files with one mistake each. The mark ‸ stands where it must be reported, and is not part of the file.

Every file is read beside `base/`: priority P1, calendar office, roles ops and desk, escalation ladder, var url,
playbooks look and fix.
"""

from __future__ import annotations

RULE = "rules:\n  - name: r\n    priority: P1\n    "
MATCHED = RULE + "match: ['a=\"b\"']\n    "
PLAY = "playbook: p\n"
INPUTS = PLAY + "inputs:\n  "
STEPS = PLAY + "inputs: {name: {}}\nsteps:\n  - "
LOOK = "id: seen\n    action: http.check\n    with: {url: http://a}\n  - "
VERIFY = STEPS + LOOK + "wait: 1s\nverify:\n  - "
LEVELS = "escalations:\n  e:\n    - "
ROLE = "roles:\n  r: {primary: "
PRIORITY = "priorities:\n  P5: {name: x, "
OFFICE = "calendars:\n  c: {timezone: UTC, days: [mon], from: '09:00', to: '17:00', holidays: "
SCHEDULE = "schedules:\n  - {name: s, cron: '0 8 * * *', run: [look], "
UPDATE = "messages:\n  incident-update:\n    subject: x\n    body: "

YAML: dict[str, tuple[str, str]] = {
    "a tab": ("rules:\n‸\t- name: x\n", "a tab is used for indentation"),
    "a colon in a text": ("vars:\n  a: b‸: c\n", "a colon is not allowed here"),
    "bad indentation": ("vars:\n  a: 1\n   b‸: 2\n", "a colon is not allowed here"),
    "an at sign": ("vars: {a: ‸@x}\n", "cannot start with '@'"),
    "a backtick": ("vars:\n  a: ‸`x`\n", "cannot start with '`'"),
    "an expression in a flow map": ("vars: {a: $‸{x}, b: 1}\n", "put a text that holds ${...} in quotes"),
    "an open bracket": ("vars:\n  a: [1, 2\n‸", "did not find expected ',' or ']'"),
    "an open quote": ('vars:\n  a: "b\n‸', "found unexpected end of stream"),
    "a list among keys": ("vars: {}\n‸- a\n", "not valid YAML"),
    "a key among items": ("rules:\n- a\n‸b\n", "this is neither `key: value` nor a list item"),
    "two documents": ("vars: {}\n‸---\nvars: {}\n", "a second document starts here"),
    "a duplicate key at the top": (
        "vars: {}\n‸vars: {}\n",
        "duplicate key 'vars'; it stands already in line 1",
    ),
    "a duplicate key below": ("vars:\n  a: 1\n  b: 2\n  ‸a: 3\n", "it stands already in line 2"),
    "a duplicate key in a flow map": ("vars: {a: 1, ‸a: 2}\n", "duplicate key 'a'"),
    "a duplicate key in quotes": ('vars: {a: 1, ‸"a": 2}\n', "duplicate key 'a'"),
    "an unknown anchor": ("vars:\n  a: ‸*nowhere\n", "there is no anchor &nowhere above"),
    "an alias inside itself": ("vars:\n  a: &a [‸*a]\n", "is inside what it stands for"),
    "a merge key": ("vars:\n  a: &a {b: 1}\n  c:\n    ‸<<: *a\n", "merge keys (<<) are not part of YAML 1.2"),
    "a tag of an application": ("vars:\n  a: ‸!env HOME\n", "the tag !env is not supported"),
    "a tag of Python": (
        "vars:\n  a: ‸!!python/object/apply:os.system [ls]\n",
        "the tag tag:yaml.org,2002:python/object/apply:os.system is not supported",
    ),
    "a key that is a list": ("vars:\n  ? ‸[a]\n  : b\n", "a key must be a plain word"),
    "a key that is an expression": ("vars:\n  {‸{x}: 1}\n", "a key must be a plain word"),
    "a key that is missing": ("vars:\n  ‸: b\n", "a key is missing before the colon"),
    "a key that is missing in a flow map": ("vars: {‸: b}\n", "a key is missing before the colon"),
    "infinity": ("vars: {a: ‸.inf}\n", ".inf is not a finite number"),
    "not a number": ("vars: {a: ‸.nan}\n", ".nan is not a finite number"),
    "a number too large for a float": ("vars: {a: ‸1e999}\n", "1e999 is not a finite number"),
    "a number of 65 bits": ("vars: {a: ‸9223372036854775808}\n", "does not fit in 64 bits"),
    "a number without end": (f"vars: {{a: ‸{'9' * 10_000}}}\n", "does not fit in 64 bits"),
    "a control character": ("vars: {a: x‸\x07}\n", "the control character U+0007 is not allowed"),
    "a directive of another version": ("‸%YAML 3.0\n---\nvars: {}\n", "not valid YAML"),
    "nothing but a list": (
        "‸- a\n",
        "the file must hold a map with keys such as rules or playbook, not a list",
    ),
    "nothing but a word": ("‸hello\n", "not 'hello'"),
}

SHAPES: dict[str, tuple[str, str]] = {
    "an unknown key of a file": ("‸rulse: []\n", "unknown key 'rulse'. Did you mean 'rules'?"),
    "a key of the future": (
        "‸reports: []\n",
        "the keys here are: rules, schedules, priorities, escalations, roles, calendars, messages, vars, playbook",
    ),
    "a schedule's report": (
        SCHEDULE + "‸report: {to: [ops]}}\n",
        "unknown key 'report' (the keys here are: name, description, cron, timezone, run, with, catch_up, on_failure)",
    ),
    "a schedule without a time": (
        "schedules:\n  - ‸{name: s, run: [look]}\n",
        "the key 'cron' is missing",
    ),
    "a schedule of nothing": (
        "schedules:\n  - {name: s, cron: '0 8 * * *', run: ‸[]}\n",
        "must not be empty",
    ),
    "schedules that are a map": ("schedules: ‸{s: {}}\n", "must be a list"),
    "a schedule named twice": (
        SCHEDULE + "}\n  - {name: ‸s, cron: '0 9 * * *', run: [look]}\n",
        "there is already a schedule named 's'",
    ),
    "steps without a playbook": ("‸steps: []\n", "this file has no `playbook: NAME`"),
    "an unknown key of a playbook": (PLAY + "‸step: []\n", "unknown key 'step'. Did you mean 'steps'?"),
    "rules that are a map": ("rules: ‸{a: b}\n", "must be a list"),
    "priorities that are a list": ("priorities: ‸[a]\n", "must be a map"),
    "vars that are a text": ("vars: ‸x\n", "must be a map"),
    "a rule that is a text": (
        "rules:\n  - ‸just text\n",
        "must be a map (`key: value` lines), not 'just text'",
    ),
    "a rule without a name": ("rules:\n  - ‸priority: P1\n    when: 'true'\n", "the key 'name' is missing"),
    "a rule without a priority": (
        "rules:\n  - ‸name: r\n    when: 'true'\n",
        "the key 'priority' is missing",
    ),
    "a rule that selects nothing": (
        "rules:\n  - ‸name: r\n    priority: P1\n",
        "a rule needs `match` or `when`",
    ),
    "a rule's unknown key": (MATCHED + "‸wen: 'true'\n", "unknown key 'wen'. Did you mean 'when'?"),
    "a name with spaces": (
        "rules:\n  - name: ‸disk is full\n    priority: P1\n    when: 'true'\n",
        "'disk is full' is not a name; write kebab-case",
    ),
    "a name without end": (
        f"rules:\n  - name: ‸{'x' * 101}\n    priority: P1\n    when: 'true'\n",
        "string should have at most 100 characters, not 'xxx",
    ),
    "a matcher that is no list": (RULE + "match: ‸a=b\n", "must be a list"),
    "a matcher that is a map": (RULE + "match: [‸{a: b}]\n", "must be a text, not a map"),
    "a name of Python's": (
        MATCHED + "run:\n      - playbook: look\n        ‸with_: {}\n",
        "Did you mean 'with'?",
    ),
    "YAML 1.1's yes": (MATCHED + "continue: ‸yes\n", "must be true or false, not 'yes'"),
    "YAML 1.1's on": (MATCHED + "continue: ‸on\n", "must be true or false, not 'on'"),
    "a number for a boolean": (MATCHED + "continue: ‸1\n", "must be true or false, not 1"),
    "an unknown mode": (
        MATCHED + "mode: ‸acting\n",
        "must be observe or act, not 'acting'. Did you mean 'act'?",
    ),
    "a boolean for a word": (MATCHED + "mode: ‸off\n", "must be observe or act, not 'off'"),
    "a duration without a unit": (MATCHED + "limits: {cooldown: ‸15}\n", "15 is not a duration"),
    "a duration with a wrong unit": (MATCHED + "limits: {cooldown: ‸15min}\n", "'15min' is not a duration"),
    "no runs at all": (MATCHED + "limits: {runs: [{of: ‸0, per: 1h}]}\n", "must be at least 1, not 0"),
    "a quoted number": (
        MATCHED + "limits: {runs: [{of: ‸'3', per: 1h}]}\n",
        "must be a whole number, not '3'",
    ),
    "a fraction of a run": (
        MATCHED + "limits: {runs: [{of: ‸1.5, per: 1h}]}\n",
        "must be a whole number, not 1.5",
    ),
    "a limit without a window": (MATCHED + "limits: {runs: [‸{of: 3}]}\n", "the key 'per' is missing"),
    "an account number as a label": (
        MATCHED + "tests: [{name: t, event: {labels: {account: ‸012345678901}}, expect: {}}]\n",
        "must be a text, not 12345678901; put it in quotes if it is one",
    ),
    "a test without a name": (MATCHED + "tests: [{name: ‸'', event: {}, expect: {}}]\n", "must not be empty"),
    "an unknown expectation": (
        MATCHED + "tests: [{name: t, event: {}, expect: {‸match: true}}]\n",
        "unknown key 'match'. Did you mean 'matched'?",
    ),
    "a priority that is nothing": (
        "priorities:\n  P5:‸\n",
        "must be a map (`key: value` lines), not nothing",
    ),
    "a clock that is no time": (
        "priorities:\n  P5: {name: x, respond_within: ‸soon}\n",
        "or 2d; or must be next_business_day, not 'soon'",
    ),
    "business days without a calendar": (
        "priorities:\n  P5: ‸{name: x, respond_within: next_business_day}\n",
        "needs a `calendar`",
    ),
    "a priority that is no name": ("priorities:\n  ‸P 5: {name: x}\n", "is not a name"),
    "a day that is none": (
        "calendars:\n  c: {timezone: UTC, days: [mon, ‸tues], from: '09:00', to: '17:00'}\n",
        "Did you mean 'tue'?",
    ),
    "an hour that is none": (
        "calendars:\n  c: {timezone: UTC, days: [mon], from: ‸'9:00', to: '17:00'}\n",
        "is not a time of day",
    ),
    "an hour without quotes": (
        "calendars:\n  c: {timezone: UTC, days: [mon], from: '09:00', to: ‸17.00}\n",
        "must be a text, not 17.0; put it in quotes",
    ),
    "no days": (
        "calendars:\n  c: {timezone: UTC, days: ‸[], from: '09:00', to: '17:00'}\n",
        "must not be empty",
    ),
    "a holiday that is a word": (
        OFFICE + "‸christmas}\n",
        "'christmas' is no holiday; write a country as US",
    ),
    "a holiday in a list that is a word": (OFFICE + "[US, ‸us]}\n", "'us' is no holiday"),
    "an escalation that is a map": (
        "escalations:\n  e: ‸{after: 1m, page: [ops]}\n",
        "must be a list (lines that start with `- `), not a map",
    ),
    "an escalation without levels": ("escalations:\n  e: ‸[]\n", "must not be empty"),
    "a level's unknown key": (LEVELS + "{after: 1m, ‸pages: [ops]}\n", "Did you mean 'page'?"),
    "a level that never comes": (LEVELS + "‸{page: [ops]}\n", "either `after` or `on_breach`"),
    "a level that comes twice": (
        LEVELS + "‸{after: 1m, on_breach: resolve, page: [ops]}\n",
        "either `after` or",
    ),
    "a level for nobody": (LEVELS + "‸{after: 1m}\n", "somebody to `page` or `notify`"),
    "a breach of no clock": (LEVELS + "{on_breach: ‸repair, page: [ops]}\n", "must be acknowledge, respond"),
    "an unknown condition of a level": (
        LEVELS + "{after: 1m, unless: ‸acked, page: [ops]}\n",
        "must be acknowledged, responded or resolved",
    ),
    "a name that is none": (
        LEVELS + "{after: 1m, page: [‸'the boss']}\n",
        "'the boss' names nobody; write a role, ROLE.secondary, slack:#channel",
    ),
    "a channel without #": (LEVELS + "{after: 1m, notify: [ops, ‸slack:ops]}\n", "'slack:ops' names nobody"),
    "a way that is none": (LEVELS + "{after: 1m, notify: [‸slak:#ops]}\n", "'slak:#ops' names nobody"),
    "a third of a role": (LEVELS + "{after: 1m, page: [‸ops.third]}\n", "'ops.third' names nobody"),
    "a mail address that is none": (
        LEVELS + "{after: 1m, notify: [‸email:ops]}\n",
        "'email:ops' names nobody",
    ),
    "a role without a primary": ("roles:\n  r: ‸{hours: always}\n", "the key 'primary' is missing"),
    "a contact that cannot be reached": (ROLE + "‸{name: anna}}\n", "a contact needs at least one of"),
    "a contact's unknown key": (
        ROLE + "{‸mail: a@b.example}}\n",
        "unknown key 'mail'. Did you mean 'email'?",
    ),
    "a contact's address that is none": (ROLE + "{email: ‸anna}}\n", "'anna' is not a mail address"),
    "a contact's channel without #": (ROLE + "{slack: ‸ops}}\n", "'ops' is no place in Slack"),
    "a pager of nothing": (ROLE + "{pagerduty: ‸{}}}\n", "give `service_key`, `schedule` or both"),
    "a message without a body": ("messages:\n  page: ‸{subject: x}\n", "the key 'body' is missing"),
    "a message without words": ("messages:\n  page: {subject: ‸'', body: x}\n", "must not be empty"),
    "a message's unknown key": (
        "messages:\n  page: {‸title: x, subject: x, body: x}\n",
        "unknown key 'title'",
    ),
    "a playbook without a name": ("playbook:‸\n", "must be a text, not nothing"),
    "an input with a capital": (INPUTS + "‸Name: {}\n", "'Name' is not an identifier"),
    "an input of no type": (INPUTS + "name: {type: ‸str}\n", "Did you mean 'string'?"),
    "an input's unknown key": (INPUTS + "name: {‸required: true}\n", "unknown key 'required'"),
    "two kinds of step": (STEPS + "‸action: flow.log\n    wait: 5m\n", "a step is exactly one of"),
    "no kind of step": (STEPS + "‸id: x\n", "a step is exactly one of"),
    "a step's unknown key": (STEPS + "wait: 1s\n    ‸foreac: [1]\n", "Did you mean 'foreach'?"),
    "a step's id with a dash": (STEPS + "id: ‸roll-back\n    wait: 1s\n", "'roll-back' is not an identifier"),
    "too many attempts": (
        STEPS + "action: flow.log\n    retry: {attempts: ‸99}\n",
        "must be at most 20, not 99",
    ),
    "a foreach over a number": (
        STEPS + "foreach: ‸3\n    action: flow.log\n",
        "must be a text, not 3; put it in quotes if it is one; or must be a list",
    ),
    "a step in a block": (STEPS + "parallel:\n      - {wait: 1s, ‸tiemout: 3s}\n", "Did you mean 'timeout'?"),
    "an unknown check": (PLAY + "verify: [{check: ‸resolved}]\n", "must be alert_resolved, not 'resolved'"),
    "a check of nothing": (PLAY + "verify: [‸{}]\n", "a check is either"),
    "an unknown ending": (PLAY + "on_failure: ‸undo\n", "must be escalate, undo_and_escalate or next_rung"),
    "an unknown outcome": (
        PLAY + "tests: [{name: t, expect: {outcome: ‸ok}}]\n",
        "must be verified, succeeded",
    ),
}

MEANINGS: dict[str, tuple[str, str]] = {
    "a matcher without an operator": (RULE + "match: ['abc‸']\n", "needs one of = != =~ !~ here"),
    "a matcher with a bad pattern": (RULE + "match: ['a=~‸\"(\"']\n", "regular expression"),
    "a matcher that is an expression": (
        RULE + "match: [‸'a=\"${vars.url}\"']\n",
        "a matcher is taken as it is",
    ),
    "a condition in ${}": (MATCHED + "when: ‸${event.name == 'a'}\n", "write it without ${ and }"),
    "a condition that ends early": (MATCHED + "when: event.severity ==‸\n", "it ends too early"),
    "a condition that is a number": (MATCHED + "when: ‸'5'\n", "`when` must come to true or false"),
    "a condition that is a text": (MATCHED + "when: ‸event.name + 'a'\n", "this always comes to STRING"),
    "a step's condition that is a number": (
        STEPS + "action: http.check\n    with: {url: http://a}\n    when: ‸1 + 1\n",
        "this always comes to INT; compare it",
    ),
    "an assert that is a number": (
        VERIFY + "{action: http.check, with: {url: http://a}, assert: ‸1 + 1}\n",
        "`assert` must come to true or false",
    ),
    "a condition with one =": (MATCHED + "when: event.severity ‸= 'a'\n", "write '=='"),
    "an unknown name": (MATCHED + "when: ‸evnt.severity == 'a'\n", "Did you mean 'event'?"),
    "an unknown function": (MATCHED + "when: event.name.‸startWith('a')\n", "Did you mean 'startsWith'?"),
    "an unknown field of an event": (
        MATCHED + "when: ‸event.serverity == 'a'\n",
        "there is no field of event named 'serverity'",
    ),
    "a label without `labels`": (
        MATCHED + "when: 1 == 1 && ‸event.namespace == 'a'\n",
        "there is: annotations",
    ),
    "an unknown var": (
        MATCHED + "when: event.url == ‸vars.ulr\n",
        "there is no var named 'ulr'; there is: url.",
    ),
    "inputs in a rule": (MATCHED + "when: ‸inputs.name == 'a'\n", "'inputs' has no value in a rule's `when`"),
    "an item outside of foreach": (STEPS + "when: ‸item == 1\n    wait: 1s\n", "'item' has no value"),
    "a condition in double quotes": (MATCHED + 'when: "1 == 1 &&\\t‸evnt.x"\n', "Did you mean 'event'?"),
    "a condition in single quotes": (MATCHED + "when: '\"it''s\" == ‸evnt.x'\n", "Did you mean 'event'?"),
    "a condition in a block": (
        MATCHED + "when: |\n      event.severity == 'a' &&\n      ‸evnt.name == 'b'\n",
        "Did you mean 'event'?",
    ),
    "an open expression in a title": (MATCHED + "incident: {title: 'on ‸${event.name'}\n", "is never closed"),
    "a secret in a title": (MATCHED + 'incident: {title: "a ${‸secret.x}"}\n', "secrets cannot be used in"),
    "a mistake in a title": (MATCHED + 'incident: {title: "a ${‸event.nam}"}\n', "Did you mean 'name'?"),
    "an expression as a key": (MATCHED + "incident: {key: [a, ‸event.labels.b]}\n", "write 'b' instead"),
    "an unknown priority": ("rules:\n  - {name: r, when: 'true', priority: ‸P11}\n", "Did you mean 'P1'?"),
    "an unknown calendar": ("priorities:\n  P5: {name: x, calendar: ‸offise}\n", "Did you mean 'office'?"),
    "an unknown time zone": (
        "calendars:\n  c: {timezone: ‸Mars/Base, days: [mon], from: '09:00', to: '17:00'}\n",
        "there is no time zone 'Mars/Base'",
    ),
    "a path for a time zone": (
        "calendars:\n  c: {timezone: ‸../../etc/passwd, days: [mon], from: '09:00', to: '17:00'}\n",
        "there is no time zone",
    ),
    "a day that ends before it begins": (
        "calendars:\n  c: {timezone: UTC, days: [mon], from: '17:00', to: ‸'09:00'}\n",
        "`to` must be later than `from`",
    ),
    "a var that cannot be named": ("vars: {‸api-url: x}\n", "cannot be written as vars.NAME"),
    "a var that is an expression": ("vars: {a: ['x', ‸'${vars.url}']}\n", "vars are constants"),
    "a cron of four fields": (
        "schedules:\n  - {name: s, run: [look], cron: ‸0 8 * *}\n",
        "'0 8 * *' has 4 fields; write five fields",
    ),
    "a cron of no such hour": (
        "schedules:\n  - {name: s, run: [look], cron: '0 ‸25 * * *'}\n",
        "the hour '25' cannot be",
    ),
    "a cron of no such day": (
        'schedules:\n  - name: s\n    run: [look]\n    cron: "0 8 ‸30 feb *"\n',
        "never comes: there is no such day",
    ),
    "a schedule's unknown zone": (SCHEDULE + "timezone: ‸New_York}\n", "there is no time zone 'New_York'"),
    "a schedule's unknown playbook": (
        "schedules:\n  - {name: s, cron: '0 8 * * *', run: [look, ‸fxi]}\n",
        "there is no playbook 'fxi'. Did you mean 'fix'?",
    ),
    "a playbook that a schedule names twice": (
        "schedules:\n  - {name: s, cron: '0 8 * * *', run: [look, ‸look]}\n",
        "'look' stands in the list already",
    ),
    "a schedule's unknown priority": (
        SCHEDULE + "on_failure: {priority: ‸P2}}\n",
        "there is no priority 'P2'",
    ),
    "an input a schedule does not give": (
        "schedules:\n  - ‸{name: s, cron: '0 8 * * *', run: [look, fix]}\n",
        "playbook 'fix' needs the input 'name'",
    ),
    "an input none of a schedule's playbooks has": (
        SCHEDULE + "with: {‸name: a}}\n",
        "no playbook of this schedule has an input 'name'; their inputs are: none",
    ),
    "an input of a schedule of another type": (
        "schedules:\n  - {name: s, cron: '0 8 * * *', run: [look, fix], with: {name: a, count: ‸many}}\n",
        "input 'count' must be an integer",
    ),
    "an expression of a schedule": (
        "schedules:\n  - {name: s, cron: '0 8 * * *', run: [fix], with: {name: '${‸steps.x}'}}\n",
        "'steps' has no value in a schedule's `with`",
    ),
    "a priority that is a schedule's": ("priorities:\n  ‸scheduled: {name: x}\n", "choose another name"),
    "an unknown playbook": (
        MATCHED + "run: [{playbook: ‸lok}]\n",
        "there is no playbook 'lok'. Did you mean 'look'?",
    ),
    "an input not given": (
        MATCHED + "run:\n      - ‸playbook: fix\n",
        "playbook 'fix' needs the input 'name'",
    ),
    "an input that is not there": (
        MATCHED + "run: [{playbook: fix, with: {name: a, ‸nmae: b}}]\n",
        "has no input 'nmae'; its inputs are: name, count, wait.",
    ),
    "an input of another type": (
        MATCHED + "run: [{playbook: fix, with: {name: a, count: ‸many}}]\n",
        "input 'count' must be an integer, got the text 'many'",
    ),
    "a boolean for an integer": (
        MATCHED + "run: [{playbook: fix, with: {name: a, count: ‸true}}]\n",
        "must be an integer, got the boolean true",
    ),
    "a number for a text": (
        MATCHED + "run: [{playbook: fix, with: {name: ‸012}}]\n",
        "input 'name' must be a text, got the number 12",
    ),
    "an input that does not match": (
        MATCHED + "run: [{playbook: fix, with: {name: ‸A B}}]\n",
        "input 'name' must match ^[a-z]+$, got the text 'A B'",
    ),
    "an input out of bounds": (
        MATCHED + "run: [{playbook: fix, with: {name: a, count: ‸11}}]\n",
        "must be at most 10, got the number 11",
    ),
    "a null for what is required": (
        MATCHED + "run: [{playbook: fix, with: {name: ‸null}}]\n",
        "input 'name' is required: give a string",
    ),
    "an input's expression": (
        MATCHED + "run: [{playbook: fix, with: {name: '${event.labels.‸}'}}]\n",
        "Cannot read the expression",
    ),
    "a default of another type": (INPUTS + "a: {type: duration, default: ‸soon}\n", "must be a duration"),
    "a default outside the enum": (
        INPUTS + "a: {enum: [x, y], default: ‸z}\n",
        "must be one of the text 'x'",
    ),
    "a default that is an expression": (INPUTS + "a: {default: ‸'${vars.url}'}\n", "a default is a constant"),
    "an enum of another type": (INPUTS + "a: {type: integer, enum: [1, ‸two]}\n", "must be an integer"),
    "a bad pattern": (INPUTS + "a: {pattern: ‸'('}\n", "is not a regular expression"),
    "a pattern for a number": (INPUTS + "a: {type: integer, ‸pattern: a}\n", "`pattern` has no meaning"),
    "a bound for a text": (
        INPUTS + "a: {‸minimum: 1}\n",
        "`minimum` has no meaning for an input of type string",
    ),
    "bounds that exclude all": (
        INPUTS + "a: {type: integer, minimum: ‸5, maximum: 1}\n",
        "`minimum` is more than `maximum`",
    ),
    "a target that reads the event": (
        PLAY + "target: x/${‸event.name}\n",
        "'event' has no value in the target",
    ),
    "a target with a secret": (PLAY + "target: x/${‸secret.a}\n", "secrets cannot be used in the target"),
    "a priority's unknown escalation": (PRIORITY + "escalation: ‸lader}\n", "Did you mean 'ladder'?"),
    "an unknown escalation of several": (
        PRIORITY + "many: {of: 2, within: 1h, escalation: ‸lader}}\n",
        "Did you mean 'ladder'?",
    ),
    "a rule's unknown escalation": (
        MATCHED + "escalation: ‸system-down\n",
        "there is no escalation 'system-down'; there is: ladder",
    ),
    "an announcement to nobody": (PRIORITY + "announce: [‸'all of them']}\n", "names nobody; write a role"),
    "an announcement to no role": (PRIORITY + "announce: [statuspage, ‸op]}\n", "Did you mean 'ops'?"),
    "news without a pause": (PRIORITY + "update_every: ‸0m}\n", "must be at least 1m"),
    "an acknowledgement of no length": (PRIORITY + "ack_expires: ‸59s}\n", "must be at least 1m"),
    "hours over midnight": (
        "calendars:\n  c: {timezone: UTC, days: [mon], from: '22:00', to: ‸'06:00'}\n",
        "`to` must be later than `from`, on the same day",
    ),
    "hours of no length": (
        "calendars:\n  c: {timezone: UTC, days: [mon], from: '09:00', to: ‸'09:00'}\n",
        "`to` must be later",
    ),
    "the holidays of no country": (OFFICE + "‸ZZ}\n", "the holidays of 'ZZ' are not known"),
    "the holidays of no part of a country": (
        OFFICE + "[2026-12-24, ‸US-XY]}\n",
        "US has no part 'XY' whose holidays are known; there is: AK, AL, ",
    ),
    "the parts of a country without": (OFFICE + "‸BY-A}\n", "there is: none"),
    "a day that never comes": (OFFICE + "[US, ‸2026-02-29]}\n", "there is no day 2026-02-29"),
    "a role that is not there": (
        LEVELS + "{after: 1m, unless: resolved, page: [ops, ‸dsek]}\n",
        "there is no role 'dsek'. Did you mean 'desk'?",
    ),
    "a role that is told and not there": (
        LEVELS + "{after: 1m, notify: [‸management]}\n",
        "there is no role 'management'; there is: desk, ops",
    ),
    "a role without a secondary": (
        LEVELS + "{after: 1m, notify: [ops.secondary, ‸desk.secondary]}\n",
        "role 'desk' has no `secondary`",
    ),
    "a page to the status page": (LEVELS + "{after: 0m, page: [‸statuspage]}\n", "`notify` it instead"),
    "levels out of order": (
        LEVELS
        + "{after: 5m, notify: [ops]}\n    - {on_breach: resolve, page: [ops]}\n    - {after: ‸2m, notify: [desk]}\n",
        "levels stand in the order they come, and one above comes after 5m",
    ),
    "a role that is the status page": (
        "roles:\n  ‸statuspage: {primary: {slack: '#a'}}\n",
        "choose another name",
    ),
    "a role's unknown hours": (
        "roles:\n  r: {primary: {slack: '#a'}, hours: ‸alway}\n",
        "there is no calendar 'alway'. Did you mean 'always'?",
    ),
    "an integration key in the open": (
        ROLE + "{pagerduty: {service_key: ‸0123456789abcdef}}}\n",
        "an integration key is a secret; write ${secret.NAME}",
    ),
    "an integration key that is more than a secret": (
        ROLE + "{pagerduty: {service_key: ‸'x${secret.a}'}}}\n",
        "an integration key is a secret",
    ),
    "a secret as a schedule": (
        ROLE + "{pagerduty: {schedule: ‸'${secret.a}'}}}\n",
        "only `pagerduty.service_key` is a ${secret.NAME}",
    ),
    "an expression as a contact's name": (
        ROLE + "{slack: '#a'}, secondary: {name: ‸'${vars.url}', slack: '#b'}}\n",
        "${...} is not rendered here",
    ),
    "a message that is never sent": (
        "messages:\n  ‸incident-open: {subject: x, body: x}\n",
        "there is no message 'incident-open'. Did you mean 'incident-opened'?",
    ),
    "a public message that does not say so": (
        "messages:\n  public-incident-opened: ‸{subject: x, body: x}\n",
        "write `public: true`",
    ),
    "an expression of rules in a message": (
        UPDATE + "‸on ${event.name}\n",
        "messages hold {{ incident.title }}",
    ),
    "a fact that is none": (
        UPDATE + "|\n      Service: {{ service }}\n      Title: {{ ‸incident.titel }}\n",
        "there is no fact 'incident.titel'; incident has: id, ",
    ),
    "a fact that is none in a subject": (
        "messages:\n  page: {subject: 'it is {{ ‸serviec }}', body: x}\n",
        "Did you mean 'service'?",
    ),
    "a private fact in a public message": (
        "messages:\n  public-incident-update:\n    public: true\n    subject: x\n    body: |\n      a {{ ‸found }}\n",
        "found is not for everybody; it may tell: incident.duration",
    ),
    "a message that is no template": (
        UPDATE + "|\n      a\n      b ‸{{ found\n",
        "unexpected end of template",
    ),
    "a message that computes": (UPDATE + "a ‸{{ 2 * 3 }}\n", "this is not part of the language of messages"),
    "a message without end": (UPDATE + "‸" + "x" * 20_001 + "\n", "at most 20000 characters"),
    "an unknown action": (
        STEPS + "action: ‸http.chek\n",
        "there is no action 'http.chek'. Did you mean 'http.check'?",
    ),
    "an unknown parameter": (
        STEPS + "action: http.check\n    with: {url: http://a, ‸methd: GET}\n",
        "unknown key 'methd'. Did you mean 'method'?",
    ),
    "a missing parameter": (STEPS + "action: http.check\n    with: ‸{}\n", "the parameter 'url' is missing"),
    "no parameters": (STEPS + "‸action: http.check\n", "the parameter 'url' is missing"),
    "a parameter of another type": (
        STEPS + "action: kubernetes.logs\n    with: {namespace: a, selector: b, tail: ‸all}\n",
        "must be a whole number, not 'all'",
    ),
    "a parameter of another choice": (
        STEPS + "action: http.check\n    with: {url: '${vars.url}', method: ‸PUT}\n",
        "must be GET or POST, not 'PUT'",
    ),
    "a parameter inside a parameter": (
        STEPS
        + "action: http.check\n    with: {url: http://a, probe: {json: {a: '${vars.url}'}, ‸stats: 1}}\n",
        "unknown key 'stats'. Did you mean 'status'?",
    ),
    "an unknown input": (
        STEPS + "action: flow.log\n    with: {message: 'a ${‸inputs.nam}'}\n",
        "there is no input named 'nam'; there is: name. Did you mean 'name'?",
    ),
    "an unknown step": (
        STEPS + LOOK + "action: flow.log\n    with: {message: '${string(‸steps.sen.status)}'}\n",
        "there is no step 'sen' before this; there is: seen. Did you mean 'seen'?",
    ),
    "a later step": (
        STEPS
        + "when: ‸steps.late.status == 200\n    wait: 1s\n  - {id: late, action: http.check, with: {url: http://a}}\n",
        "step 'late' has not ended",
    ),
    "a step that reads itself": (
        STEPS + "id: me\n    when: ‸steps.me.outcome == 'failed'\n    wait: 1s\n",
        "step 'me' has not ended",
    ),
    "a step beside it": (
        STEPS
        + "parallel:\n      - {id: a, wait: 1s}\n      - {id: b, when: ‸steps.a.outcome == 'x', wait: 1s}\n",
        "step 'a' has not ended",
    ),
    "a field no result has": (
        STEPS + LOOK + "when: ‸steps.seen.statsu == 200\n    wait: 1s\n",
        "the result of step 'seen' has no 'statsu'; it has: error, json, outcome, status. Did you mean 'status'?",
    ),
    "a field in brackets": (
        STEPS + LOOK + "when: ‸steps['seen']['statsu'] == 200\n    wait: 1s\n",
        "the result of step 'seen' has no 'statsu'",
    ),
    "a field of foreach's result": (
        STEPS + "id: all\n    foreach: [1]\n    wait: 1s\n  - when: ‸steps.all.status == 1\n    wait: 1s\n",
        "it has: count, error, failed, items, outcome",
    ),
    "a step of another playbook": (
        STEPS + "id: sub\n    playbook: look\n  - when: ‸steps.looked.status == 1\n    wait: 1s\n",
        "there is no step 'looked'",
    ),
    "two steps of one id": (
        STEPS + "id: a\n    wait: 1s\n  - parallel:\n      - {id: ‸a, wait: 1s}\n",
        "there is already a step 'a', in line 4",
    ),
    "an id that is a word of the journal": (
        STEPS + "id: ‸verify\n    wait: 1s\n",
        "is a word of the journal",
    ),
    "result before there is one": (
        STEPS + "when: ‸result.status == 1\n    action: http.check\n    with: {url: http://a}\n",
        "'result' has no value in a step's `when`",
    ),
    "a field the result has not": (
        STEPS + "action: http.check\n    with: {url: http://a}\n    assert: ‸result.stat == 200\n",
        "there is no field of result named 'stat'",
    ),
    "a projection that does not compile": (
        STEPS + "action: http.check\n    with: {url: http://a}\n    outputs: {ok: result.status ==‸}\n",
        "it ends too early",
    ),
    "a projection named outcome": (
        STEPS + "action: http.check\n    with: {url: http://a}\n    outputs: {‸outcome: result.status}\n",
        "'outcome' says how the step went",
    ),
    "a foreach over a text": (STEPS + "foreach: ‸names\n    wait: 1s\n", "foreach needs a list"),
    "an item in its own list": (
        STEPS + "foreach: ${‸item.names}\n    wait: 1s\n",
        "'item' has no value in `foreach`",
    ),
    "a limit without foreach": (STEPS + "wait: 1s\n    ‸max_items: 3\n", "has no effect without `foreach`"),
    "a retry of a wait": (
        STEPS + "wait: 1s\n    ‸retry: {}\n",
        "`retry` has no effect on a step that is a wait",
    ),
    "a `with` for a block": (
        STEPS + "parallel: []\n    ‸with: {}\n",
        "has no effect on a step that is a parallel block",
    ),
    "an assert of a playbook": (
        STEPS + "playbook: look\n    ‸assert: 'true'\n",
        "`assert` has no effect on a step that is a playbook",
    ),
    "a message nobody says": (
        STEPS + "action: flow.log\n    with: {message: a}\n    ‸message: b\n",
        "`message` has no effect without `assert`",
    ),
    "a `finally` in a block": (
        STEPS + "parallel: [{wait: 1s, ‸finally: true}]\n",
        "`finally` has no effect inside a block",
    ),
    "a sub-playbook that is not there": (
        STEPS + "playbook: ‸fixx\n",
        "there is no playbook 'fixx'. Did you mean 'fix'?",
    ),
    "a sub-playbook's input": (STEPS + "‸playbook: fix\n", "playbook 'fix' needs the input 'name'"),
    "a playbook that calls itself": (
        STEPS + "playbook: ‸p\n    with: {name: a}\n",
        "must not call itself: p -> p",
    ),
    "evidence that changes something": (
        PLAY + "evidence: [{action: ‸kubernetes.rollout_restart, with: {namespace: a, deployment: b}}]\n",
        "evidence only looks",
    ),
    "evidence that posts": (
        PLAY + "evidence: [{action: ‸http.request, with: {url: http://a, method: POST}}]\n",
        "evidence only looks, and http.request changes something",
    ),
    "evidence that reads steps": (
        PLAY + "evidence: [{action: flow.log, with: {message: '${‸steps.a.b}'}}]\n",
        "'steps' has no value in evidence",
    ),
    "a check that changes something": (
        PLAY + "verify: [{action: ‸kubernetes.rollout_restart, with: {namespace: a, deployment: b}}]\n",
        "verify only looks",
    ),
    "a check that can never hold": (
        VERIFY + "{action: http.check, with: {url: http://a}, for: ‸20m}\n",
        "`for` is longer than `within`",
    ),
    "a check that reads a field no result has": (
        VERIFY + "{action: http.check, with: {url: http://a}, assert: ‸steps.seen.code == 1}\n",
        "the result of step 'seen' has no 'code'",
    ),
    "an assert without an action": (
        VERIFY + "{check: alert_resolved, ‸assert: 'true'}\n",
        "`assert` has no effect on a check without `action`",
    ),
    "words of a check that asserts nothing": (
        VERIFY + "{action: http.check, with: {url: http://a}, ‸message: gone}\n",
        "`message` has no effect without `assert`",
    ),
    "words of a check that read a field no result has": (
        VERIFY
        + "{action: http.check, with: {url: http://a}, assert: 'true', message: '${‸steps.seen.code}'}\n",
        "the result of step 'seen' has no 'code'",
    ),
    "nothing to undo": (
        STEPS + LOOK + "wait: 1s\non_failure: ‸undo_and_escalate\n",
        "no step of this playbook can be undone",
    ),
    "a hold without a target": (
        STEPS + LOOK + "wait: 1s\nholds_target: ‸true\n",
        "`holds_target` needs a `target`",
    ),
    "a key that is an expression of ours": (
        STEPS + "action: http.check\n    with: {url: http://a, probe: {json: {‸'${vars.url}': 1}}}\n",
        "a key is taken as it is",
    ),
}
