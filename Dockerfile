# k2conn in a container: `docker build -t k2conn .`, then
# `docker run --read-only --cap-drop ALL -e K2_KAFKA_BOOTSTRAP_SERVERS=... -p 127.0.0.1:9091:9091 k2conn`.

# `make digests` asks the registry what is behind these tags, and brings the digests up to date.
# The whole image has the C compiler that k2conn/native is built with.
ARG BUILD_IMAGE=python:3.12.14@sha256:4d1caded1f729ae443eb803f26ffde7b61e696aeaef62f099abb6dd6b14257c7
ARG RUN_IMAGE=python:3.12.14-slim@sha256:f77ac9e44ae96ef2c90b8053ea08c31f8be030f824196b0ae4db6d462c84e51f

FROM ${BUILD_IMAGE} AS build
WORKDIR /source
ARG EXTRAS=postgres
# Every package by its hash, and as a wheel: what is built from source would fetch its tools by name only.
COPY requirements.lock requirements-complete.lock requirements-build.lock ./
RUN case ",${EXTRAS}," in *,lake,*|*,api,*|*,keys,*) lock=requirements-complete.lock ;; *) lock=requirements.lock ;; esac \
    && pip download --no-cache-dir --no-deps --require-hashes --only-binary=:all: -d /wheels -r "$lock" \
    && pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements-build.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM ${RUN_IMAGE}
RUN useradd --system --create-home --home-dir /var/lib/k2conn --uid 10001 k2conn
# What is installed beside it, of the extras that the locks hold: `--build-arg EXTRAS=` for none of them,
# `EXTRAS=postgres,lake,api` for all.
ARG EXTRAS=postgres
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "k2conn[${EXTRAS}]"

USER k2conn
# The working folder holds what outlives a restart (the spool); mount a volume here to keep it.
WORKDIR /var/lib/k2conn
# /metrics and /health listen for the outside: a container's own loopback is nobody else's.
ENV PYTHONUNBUFFERED=1 K2_METRICS_HOST=0.0.0.0

# No image is made from a connector that would not start.
RUN k2conn validate $(python -c "from k2conn.resources import connectors_folder as f; print(*sorted(f().glob('*.yaml')))")

EXPOSE 9091
STOPSIGNAL SIGTERM
# Alive, not ready: an exchange or a broker that is down must not get the process restarted.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:9091/live', timeout=4)"]
ENTRYPOINT ["k2conn"]
CMD ["run", "--daemon"]
