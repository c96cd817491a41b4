"""The command line: python -m pipelines <compile|run|submit|schedule> <lab>, <follow|cancel> <run>, list."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components import command_line
from components.errors import UserError
from components.labs import LABS
from components.settings import proxy_for, settings
from pipelines.run_spec import request
from pipelines.workspace import log_as_the_command_line

if TYPE_CHECKING:
    from pipelines.connection import Connection, Kubeflow

log = logging.getLogger("pipelines")

app = typer.Typer(
    name="python -m pipelines",
    help="Run a lab's steps on Kubeflow Pipelines: here, task by task, or on a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMPILED = Path("pipelines/compiled")
ENGINES = ("subprocess", "docker")

LabName = Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(LABS)}.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-S", metavar="NAME=VALUE", help="A value of params.yaml, as in -S music.train.seed=2."),
]
Sweep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=[VALUES]", help="Train with each of these values of the section train; the best goes on."
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(min=2, help="Train with so many draws from the ranges of the lab's section search; the best goes on."),
]
Host = Annotated[str | None, typer.Option(help="Address of Kubeflow Pipelines (default: KUBEFLOW_HOST).")]
Namespace = Annotated[str | None, typer.Option(help="Of a multi-user Kubeflow (default: KUBEFLOW_NAMESPACE).")]
InCluster = Annotated[
    bool, typer.Option("--in-cluster", help="Use the token that this pod was given, not KUBEFLOW_TOKEN.")
]
CaCert = Annotated[
    Path | None,
    typer.Option(help="A file in PEM with who signs Kubeflow's certificate (default: KUBEFLOW_CA_CERT)."),
]
Experiment = Annotated[str | None, typer.Option(help="Kubeflow's experiment (default: pipelines.experiment).")]
Poll = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the run.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or the address that submit printed.")]
Root = Annotated[
    str | None, typer.Option(help="Where artifacts go, such as s3://bucket/path (default: the cluster's).")
]


@app.command("compile")
def compile_(
    labs: Annotated[
        list[str] | None, typer.Argument(metavar="[LAB]...", help="These labs only; none, or `all`: every lab.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the YAML files.")] = COMPILED,
) -> None:
    """Write the pipelines as YAML, as Kubeflow's page takes them. Each lab's, and its sweep's."""
    from pipelines.run_spec import compile_to

    for lab in LABS if not labs or labs == ["all"] else labs:
        for asked in (request(lab), request(lab, sweep=["seed=[1, 2]"])):
            compile_to(asked.pipeline(), output / f"{asked.name}.yaml")
            log.info("%s", output / f"{asked.name}.yaml")


@app.command()
def run(
    lab: LabName,
    engine: Annotated[str, typer.Option(help=f"{' or '.join(ENGINES)}.")] = ENGINES[0],
    assignments: Sets = None,
    sweep: Sweep = None,
    trials: Trials = None,
) -> None:
    """Run the pipeline on this machine. In processes, or in containers of pipelines.image; MLflow is this project's."""
    from pipelines import local

    if engine not in ENGINES:
        raise UserError(f"there is no engine '{engine}': {' or '.join(ENGINES)}")
    asked = request(lab, assignments or (), sweep or (), trials=trials or 0)
    if asked.cluster.nodes > 1:
        raise UserError("pipelines.nodes is more than one: a TrainJob needs a cluster; -S pipelines.nodes=1 runs here")
    variables = local.environment(Path(), asked.lab.dataset, asked.profile, engine)
    summary = local.run(asked.here().pipeline(variables), asked.arguments(), engine, Path(), variables)
    sys.stdout.write(summary.read_text(encoding="utf-8"))


@app.command()
def submit(
    lab: LabName,
    host: Host = None,
    namespace: Namespace = None,
    in_cluster: InCluster = False,
    ca_cert: CaCert = None,
    experiment: Experiment = None,
    pipeline_root: Root = None,
    assignments: Sets = None,
    sweep: Sweep = None,
    trials: Trials = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run; exit with 1 when it fails.")] = False,
    poll: Poll = 10.0,
) -> None:
    """Run the pipeline on a cluster. Parameters are checked before anything is sent; prints the run's address."""
    from pipelines import cluster

    asked = request(lab, assignments or (), sweep or (), trials=trials or 0)
    connection = _connection(host, namespace, in_cluster, ca_cert)
    if not asked.cluster.cached:
        log.warning(
            "pipelines.image is %s, which may change: every step runs, none from the cache", asked.cluster.image
        )
    kubeflow = connection.open()
    run_id = cluster.submit(asked, kubeflow, experiment or asked.cluster.experiment, pipeline_root)
    sys.stdout.write(f"{kubeflow.address(run_id)}\n")
    sys.stdout.flush()
    if wait:
        _follow(kubeflow, run_id, poll)


@app.command()
def follow(
    run: RunName,
    host: Host = None,
    namespace: Namespace = None,
    in_cluster: InCluster = False,
    ca_cert: CaCert = None,
    poll: Poll = 10.0,
) -> None:
    """Show the steps of a run until it ends. Of a failed one, the reason and the last lines; exits with 1 then."""
    from pipelines import cluster

    kubeflow = _connection(host, namespace, in_cluster, ca_cert).open()
    _follow(kubeflow, str(cluster.find_run(kubeflow, run).run_id), poll)


@app.command()
def cancel(
    run: RunName,
    host: Host = None,
    namespace: Namespace = None,
    in_cluster: InCluster = False,
    ca_cert: CaCert = None,
) -> None:
    """Stop a run. Its last task still closes the MLflow run."""
    from pipelines import cluster

    kubeflow = _connection(host, namespace, in_cluster, ca_cert).open()
    found = cluster.find_run(kubeflow, run)
    cluster.cancel(kubeflow, found)
    log.info("%s is being stopped; see its end with: python -m pipelines follow %s", found.display_name, found.run_id)


@app.command("list")
def list_(
    host: Host = None,
    namespace: Namespace = None,
    in_cluster: InCluster = False,
    ca_cert: CaCert = None,
    count: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 10,
) -> None:
    """Show the last runs, newest first: id, state, when it began (UTC), name."""
    from pipelines import cluster

    for run in cluster.recent_runs(_connection(host, namespace, in_cluster, ca_cert).open(), count):
        begun = f"{run.created_at:%Y-%m-%d %H:%M}" if run.created_at else ""
        sys.stdout.write(f"{run.run_id}  {run.state or 'PENDING':<9}  {begun:<16}  {run.display_name}\n")


@app.command()
def schedule(
    lab: LabName,
    cron: Annotated[str, typer.Option(help="When to look for new data, in UTC.")] = "0 3 * * *",
    pin: Annotated[str | None, typer.Option(help="Address of the data.dvc to follow (default: pipelines.pin).")] = None,
    host: Host = None,
    namespace: Namespace = None,
    in_cluster: InCluster = False,
    ca_cert: CaCert = None,
    experiment: Experiment = None,
    pipeline_root: Root = None,
    assignments: Sets = None,
) -> None:
    """Retrain when the data changes. A recurring run reads the data's pin; with the same data nothing is trained."""
    from pipelines import cluster

    asked = request(lab, assignments or ())
    connection = _connection(host, namespace, in_cluster, ca_cert)
    where = pin or asked.cluster.pin
    made = cluster.schedule(asked, connection, experiment or asked.cluster.experiment, pipeline_root, cron, where)
    log.info("%s looks at %s at '%s' (UTC)", lab, where, cron)
    sys.stdout.write(f"{connection.host.rstrip('/')}/#/recurringrun/details/{made}\n")


def _follow(kubeflow: Kubeflow, run_id: str, poll: float) -> None:
    """Exits with 1 when the run does not succeed, with 130 on Ctrl-C, which leaves the run alone."""
    from pipelines import progress

    try:
        state = progress.follow(kubeflow, run_id, poll)
    except KeyboardInterrupt:
        log.warning(
            "the run goes on. See it again: python -m pipelines follow %s; stop it: python -m pipelines cancel %s",
            run_id,
            run_id,
        )
        sys.exit(130)
    log.info("the run %s: %s", run_id, state)
    if state != "SUCCEEDED":
        sys.exit(1)


def _connection(host: str | None, namespace: str | None, in_cluster: bool, ca_cert: Path | None) -> Connection:
    from pipelines.connection import IN_CLUSTER_TOKEN, Connection

    address = host or settings().kubeflow_host
    if not address:
        raise UserError("where is Kubeflow? give --host, or set KUBEFLOW_HOST")
    return Connection(
        host=address,
        namespace=namespace or settings().kubeflow_namespace or "",
        token="" if in_cluster else settings().kubeflow_token or "",
        token_file=IN_CLUSTER_TOKEN if in_cluster else None,
        cookie="" if in_cluster else settings().kubeflow_cookie or "",
        ca_cert=ca_cert or settings().kubeflow_ca_cert,
        proxy=proxy_for(address),
    )


def main() -> None:
    command_line.run(app, log_as_the_command_line)


if __name__ == "__main__":
    main()
