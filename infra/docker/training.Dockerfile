# Every step of the graph: docker build --file infra/docker/training.Dockerfile --tag labs-training:dev .
# Kubeflow's tasks run in it as they are: nothing is installed when they start.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# Of pyproject.toml: what the steps need, DVC's way to S3, and Kubeflow's SDK.
ARG EXTRAS="train games chat remote cluster"
ARG FLAVOUR=cpu
# Not empty: install from infra/docker/staged and ask no network.
ARG OFFLINE=
LABEL labs.stage=build
WORKDIR /src
COPY pyproject.toml requirements.lock requirements-cuda.lock ./
COPY infra/docker infra/docker
# Setuptools first: what comes as source only is built with the locked one. Last, CUDA's libraries where torch asks.
RUN python3 infra/docker/requirements.py --flavour "${FLAVOUR}" ${EXTRAS} > requirements.txt \
 && python3 infra/docker/requirements.py --package setuptools > setuptools.txt \
 && python3 -m venv /opt/venv \
 && install() { /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${OFFLINE:+--no-index} \
      --find-links infra/docker/staged/wheels --require-hashes --no-deps --no-build-isolation --requirement "$1"; } \
 && install setuptools.txt && install requirements.txt \
 && /opt/venv/bin/python infra/docker/requirements.py --cuda > cuda.txt && install cuda.txt \
 && /opt/venv/bin/python -m pip uninstall --yes pip
COPY . /app
# Nothing can be written but what is mounted: modules are compiled here, not when they are first imported.
RUN rm -rf /app/infra /app/serving && python3 -m compileall -q /app

FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.title="labs-training" org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# DVC writes to /var and asks for its user's name, which a uid of the cluster's choice has not, unless it is told.
ENV DVC_SITE_CACHE_DIR=/tmp/dvc LOGNAME=labs
ENV PATH=/opt/venv/bin:${PATH} PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true GIT_COMMIT=${GIT_COMMIT}
USER 10001:10001
CMD ["python", "-m", "components", "--help"]
