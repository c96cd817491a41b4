# Every step of the graph: docker build --file infra/docker/training.Dockerfile --tag labs-training:dev .
# Kubeflow's tasks run in it as they are: nothing is installed when they start.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# Of pyproject.toml: what the steps need, Kubeflow's SDK, and DVC's way to S3.
ARG EXTRAS="train games remote cluster"
ARG FLAVOUR=cpu
# Not empty: install from infra/docker/staged and ask no network.
ARG OFFLINE=
LABEL labs.stage=build
WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY infra/docker infra/docker
RUN python3 infra/docker/requirements.py --flavour "${FLAVOUR}" ${EXTRAS} > requirements.txt \
 && python3 infra/docker/requirements.py --constraints > constraints.txt \
 && python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${OFFLINE:+--no-index} \
      --find-links infra/docker/staged/wheels --requirement requirements.txt --constraint constraints.txt \
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
