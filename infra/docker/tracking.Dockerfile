# The MLflow server: docker build --file infra/docker/tracking.Dockerfile --tag labs-tracking:dev .
# Drivers for PostgreSQL and S3, users on, and a start that refuses placeholders for secrets.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# Not empty: install from infra/docker/staged and ask no network.
ARG OFFLINE=
LABEL labs.stage=build
WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY infra/docker infra/docker
RUN python3 infra/docker/requirements.py --flavour none tracking > requirements.txt \
 && python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${OFFLINE:+--no-index} \
      --find-links infra/docker/staged/wheels --require-hashes --no-deps --only-binary :all: --requirement requirements.txt \
 && /opt/venv/bin/python -m pip uninstall --yes pip

FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.title="labs-tracking" org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY infra/docker/tracking.py LICENSE NOTICE ./
ENV PATH=/opt/venv/bin:${PATH} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
EXPOSE 5000
CMD ["python", "tracking.py"]
