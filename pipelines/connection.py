"""The way to a Kubeflow installation over its REST API. Every failure is one line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import ssl
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.errors import UserError

if TYPE_CHECKING:
    import kfp

log = logging.getLogger(__name__)

SECONDS = 15
"""Patience with one answer; the client's own goes on for half a minute whatever the answer was."""
READY_LOOKS, READY_PAUSE = 30, 2.0
"""Patience with an API server that starts, and seconds between two looks."""
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where a pod finds the token that its service account was given for Kubeflow Pipelines."""


@dataclass(frozen=True)
class Connection:
    """host: ends in /pipeline behind Kubeflow's gateway. namespace: of a multi-user Kubeflow; empty for a plain one."""

    host: str
    namespace: str = ""
    token: str = ""
    token_file: Path | None = None
    """Holds a token that is renewed, as a pod's does."""
    cookie: str = ""
    """The session at a gateway with a login, as a browser sends it."""
    ca_cert: Path | None = None
    """Certificates in PEM that alone are trusted, in place of those that are known."""
    proxy: str = ""
    """Address of the proxy on the way: Kubeflow's client looks for none itself."""

    def open(self) -> Kubeflow:
        """The installation, once it has let us in. Says so where it ignores the namespace. Raises UserError."""
        known = replace(self, namespace=self._used_namespace())
        import kfp
        from kfp.client import ServiceAccountTokenVolumeCredentials

        warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")
        with known.failures_named():
            client = kfp.Client(
                host=self.host,
                namespace=known.namespace or "kubeflow",
                existing_token=self.token or None,
                credentials=ServiceAccountTokenVolumeCredentials(str(self.token_file)) if self.token_file else None,
                cookies=self.cookie or None,
                ssl_ca_cert=str(self.ca_cert) if self.ca_cert else None,
                proxy=self.proxy or None,
            )
            _limit(client)
            # Whoever may not use the namespace, or names one that is not there, learns it here, before an upload.
            client.list_experiments(page_size=1, namespace=known.namespace)
        return Kubeflow(known, client)

    @contextlib.contextmanager
    def failures_named(self) -> Iterator[None]:
        """What the client raises as UserError; what it prints is swallowed."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except ApiException as error:
            raise self._refused(error.status or 0, str(error.body or error.reason)) from None
        except HTTPError as error:
            raise self._lost("went away", str(error)) from None

    def get(self, path: str) -> bytes:
        """What is at a path of the installation. Raises HTTPError, OSError or UserError."""
        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Cookie": self.cookie} if self.cookie else {}
        request = urllib.request.Request(f"{self.host.rstrip('/')}/{path}", headers=headers)  # noqa: S310 - checked
        proxies = {urlsplit(self.host).scheme: self.proxy} if self.proxy else {}
        handlers = urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=self._trusted())
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            return bytes(answer.read())

    def _used_namespace(self) -> str:
        """`namespace`, or nothing where this Kubeflow has no users and so would ignore it."""
        if not self.host.startswith(("http://", "https://")):
            raise UserError(f"--host is '{self.host}': an address is needed, such as https://kubeflow.example/pipeline")
        try:
            multi_user = self._health().get("multi_user")
        except urllib.error.HTTPError as error:
            raise self._refused(error.code, error.read().decode(errors="replace")) from None
        except (json.JSONDecodeError, AttributeError):
            raise UserError(
                f"{self.host} answers with a page, not as Kubeflow Pipelines: is a token missing, or the cookie of a "
                "session (KUBEFLOW_COOKIE)?"
            ) from None
        except (OSError, ValueError) as error:
            raise self._lost("can't be reached", str(getattr(error, "reason", error))) from None
        if multi_user and not self.namespace:
            raise UserError(f"Kubeflow at {self.host} has many users: name yours with --namespace")
        if self.namespace and not multi_user:
            log.warning(
                "Kubeflow at %s has no users and ignores the namespace '%s': runs are where it is installed",
                self.host,
                self.namespace,
            )
            return ""
        return self.namespace

    def _health(self) -> dict[str, Any]:
        """What the installation says of itself, once its API server is there.

        The page server answers 200 in any case. While the API server behind it is silent for a second, as it is after
        its start, the answer does not say whether there are users.
        """
        for look in range(READY_LOOKS):
            health: dict[str, Any] = json.loads(self.get("apis/v2beta1/healthz"))
            if health.get("apiServerReady", True):
                return health
            if look == 0:
                log.info("Kubeflow's page server at %s is there, its API server not yet", self.host)
            time.sleep(READY_PAUSE)
        raise UserError(f"Kubeflow at {self.host} is not ready: its page server does not reach its API server")

    def _token(self) -> str:
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(
                f"{self.token_file} cannot be read ({error.strerror}): is this a pod of the cluster?"
            ) from None

    def _trusted(self) -> ssl.SSLContext | None:
        """None: what is known on this machine. Raises UserError for a file without certificates."""
        if self.ca_cert is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_cert)
        except ssl.SSLError:
            raise UserError(f"--ca-cert: {self.ca_cert} holds no certificates in PEM") from None
        except OSError as error:
            raise UserError(f"--ca-cert: {self.ca_cert} cannot be read: {error.strerror}") from None

    def _lost(self, what: str, reason: str) -> UserError:
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            what, reason = "is not trusted", "name who signs its certificate with --ca-cert, or KUBEFLOW_CA_CERT"
        return UserError(f"Kubeflow at {self.host} {what}: {_line(reason)}")

    def _refused(self, status: int, body: str) -> UserError:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            body = json.loads(body)["message"]
        if status == 401:
            return UserError(
                f"Kubeflow at {self.host} wants a valid token (401): set KUBEFLOW_TOKEN, or take --in-cluster"
            )
        if status in (403, 404) and self.namespace:
            return UserError(
                f"Kubeflow at {self.host}: the namespace '{self.namespace}' is not there, or not yours ({status}): "
                f"{_line(body)}"
            )
        return UserError(f"Kubeflow at {self.host} refused ({status}): {_line(body)}")


@dataclass(frozen=True)
class Kubeflow:
    """An installation that has let us in."""

    connection: Connection
    client: kfp.Client

    @property
    def namespace(self) -> str:
        """Empty where the installation has no users."""
        return self.connection.namespace

    @contextlib.contextmanager
    def failures_named(self) -> Iterator[None]:
        with self.connection.failures_named():
            yield

    def address(self, run_id: str) -> str:
        """Address of a run's page."""
        return f"{self.connection.host.rstrip('/')}/#/runs/details/{run_id}"

    def workflow(self, run_id: str) -> dict[str, Any]:
        """The Argo Workflow of a run, as it was last stored; empty where this Kubeflow does not tell it.

        Only the older API gives it. It holds what the newer one leaves out: why a pod failed, and what it is called.
        """
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            runtime = json.loads(self.connection.get(f"apis/v1beta1/runs/{run_id}"))["pipeline_runtime"]
            found: dict[str, Any] = json.loads(runtime["workflow_manifest"])
            return found
        return {}

    def pod_log(self, run_id: str, pod: str, namespace: str) -> str:
        """What a pod of a run has written, from Kubeflow's page server or its API server; "" where neither has it."""
        for path in (
            f"k8s/pod/logs?podname={pod}&runid={run_id}&podnamespace={namespace}",
            f"apis/v1alpha1/runs/{run_id}/nodes/{pod}/log",
        ):
            with contextlib.suppress(OSError):
                text = self.connection.get(path).decode(errors="replace")
                if text.strip() and not text.lstrip().startswith(("<", '{"error')):
                    return text
        return ""


def _limit(client: kfp.Client) -> None:
    """Gives each request of a client SECONDS for its next byte: it would wait for ever."""
    rest = client._run_api.api_client.rest_client  # that of all its APIs
    send = rest.request

    def request(*arguments: Any, **named: Any) -> Any:
        return send(*arguments, **{**named, "_request_timeout": named.get("_request_timeout") or SECONDS})

    rest.request = request


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
