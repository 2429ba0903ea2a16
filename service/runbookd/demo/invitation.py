"""The demo's last words: what to look at while it is up, and how to go on with one's own systems."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from runbookd.demo.workspace import Workspace
from runbookd.settings import shipped

_LOOK_AROUND = """
It stays up until Ctrl-C. In another terminal:

{alias}  export RUNBOOKD_CONFIG={config}
  runbookd status
  runbookd incidents       # `runbookd incidents show ID` tells one in full
  runbookd runs            # `runbookd runs show ID` lists every step
  runbookd audit show      # the ledger
  runbookd audit verify    # finds out whether somebody edited it
  curl {service}/metrics

What people were told, in order, and what the public may know:

  curl {people}/told \\
       -H "Authorization: Bearer $(cat {vault}/slack_bot_token)"
  curl {service}/status.json

Break the shop again:

  curl -X POST {shop}/admin/releases \\
       -H "Authorization: Bearer $(cat {vault}/shop_token)" \\
       -H "Content-Type: application/json" -d '{{"name": "v3", "quality": "bad"}}'

Within two minutes of the last run this meets the rule's cooldown: nothing is
done, and people are called.
"""

_ONES_OWN = """
With an Alertmanager of your own: start the service with a token of yours,

{alias}  export RUNBOOKD_WEB__HOOKS='{{"alertmanager": {{"bearer": ["a-long-random-token"]}}}}'
  runbookd serve --rules my-rules --playbooks my-playbooks

and add a receiver to alertmanager.yml:

  receivers:
    - name: runbookd
      webhook_configs:
        - url: http://127.0.0.1:8080/v1/hooks/alertmanager
          send_resolved: true
          http_config:
            authorization: {{type: Bearer, credentials: a-long-random-token}}

The rule and the playbook you saw are in
  {rules} and
  {playbooks}:
copy them, and `runbookd check my-rules my-playbooks` tells what is wrong."""


def to_look_around(workspace: Workspace) -> str:
    """Say what can be done while the demo is up."""
    return _LOOK_AROUND.format(
        alias=alias(),
        config=workspace.config,
        service=workspace.service_url,
        shop=workspace.shop_url,
        people=workspace.people_url,
        vault=workspace.vault,
    )


def to_ones_own() -> str:
    """Say how to point the service at one's own Alertmanager and runbook."""
    return _ONES_OWN.format(
        alias=alias(),
        rules=shown(shipped("rules")),
        playbooks=shown(shipped("playbooks")),
    )


def alias() -> str:
    """The line that makes `runbookd` mean this very installation; nothing when the PATH does."""
    beside = Path(sys.executable).with_name("runbookd")
    found = shutil.which("runbookd")
    known = found is not None and beside.exists() and Path(found).samefile(beside)
    return "" if known else f"  alias runbookd={beside}\n"


def shown(path: Path) -> str:
    """A path as short as the reader can use it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
