"""`runbookd rbac`: the rights on Kubernetes that the rules and playbooks need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from collections.abc import Collection

    from runbookd.settings import Settings

_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@click.command(
    epilog=examples(
        "runbookd rbac --rules rules --playbooks playbooks | kubectl apply -f -",
        "runbookd rbac --service-account ops/runbookd --namespace-scoped > rbac.yaml",
    )
)
@click.option(
    "--service-account",
    default="runbookd/runbookd",
    show_default=True,
    metavar="NAMESPACE/NAME",
    help="Who is given the rights.",
)
@click.option("--cluster", metavar="NAME", help="Only for calls to this cluster of the settings.")
@click.option(
    "--namespace-scoped",
    is_flag=True,
    help="No ClusterRole: what needs one becomes a comment, and the exit code is 1.",
)
@pass_shared
def rbac(shared: Shared, service_account: str, cluster: str | None, *, namespace_scoped: bool) -> int:
    """Print the ServiceAccount, Roles and ClusterRole the loaded rules and playbooks need on Kubernetes, and no more.

    Each right names the calls that need it. It holds for one namespace, and for named objects, where constants and
    `vars` say which; where only the alert does, for the whole cluster. Print and apply it again after every change of
    the content.
    """
    from runbookd.content.load import load
    from runbookd.reports.rbac import rights
    from runbookd.reports.rbac_manifest import Account, manifest

    if re.fullmatch(f"{_NAME}/{_NAME}", service_account) is None:
        message = f"{service_account!r} is not NAMESPACE/NAME, such as runbookd/runbookd"
        raise click.BadParameter(message, param_hint="--service-account")
    settings, catalogue = shared.settings(), shared.catalogue()
    clusters = None if cluster is None else _names_of(settings, cluster)
    library = load(settings.rules, settings.playbooks, catalogue)
    found = rights(library, catalogue, clusters, cluster_wide=not namespace_scoped)
    namespace, _, name = service_account.partition("/")
    click.echo(manifest(found, Account(namespace, name), cluster_wide=not namespace_scoped), nl=False)
    left_out = bool(found.undecided) or (namespace_scoped and bool(found.cluster))
    return exit_codes.BAD if left_out else exit_codes.OK


def _names_of(settings: Settings, cluster: str) -> Collection[str | None]:
    """Return how calls name a cluster: by its name alone."""
    from runbookd.actions.kubernetes.naming import fault_of_name

    fault = fault_of_name(settings.actions.kubernetes.clusters, cluster)
    if fault is not None:
        raise click.BadParameter(fault, param_hint="--cluster")
    return {cluster}
