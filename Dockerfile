# The image of Earthflow: the program and its production packages on Node, nothing else. No install script of any package runs.
#
# The version is pinned. To pin the very bytes as well, add the digest that `docker buildx imagetools inspect node:26.10.0-trixie-slim` prints:
#   docker build --build-arg NODE_IMAGE=docker.io/library/node:26.10.0-trixie-slim@sha256:… -t earthflow:0.1.0 .
ARG NODE_IMAGE=docker.io/library/node:26.10.0-trixie-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional packages are the Node that a machine without one is given; the image has its own. The lockfile knows each package's hash.
# A registry of one's own: docker build --secret id=npmrc,src=$HOME/.npmrc …
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY LICENSE ./
COPY drizzle drizzle
COPY src src
# Readable for everybody, whatever the umask of the checkout was. Node keeps what it makes of the sources by user and flags, so the user who will run them
# makes it, with the flags of below: a start then takes a third of the time, on a read-only root too.
RUN chmod -R a+rX . && install -d -o 1000 -g 1000 compiled
USER 1000:1000
ENV NODE_COMPILE_CACHE=/app/compiled
RUN node --max-semi-space-size=16 --input-type=module --eval "for (const part of ['start', 'admin/app', 'dashboard-port']) await import('/app/src/' + part + '.ts')" && \
    (node --max-semi-space-size=16 /app/src/main.ts healthcheck || echo 'nothing runs here, and nothing should: what it is made of is compiled')

FROM ${NODE_IMAGE} AS program
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Earthflow" \
      org.opencontainers.image.description="A self-hosted AI governance proxy" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/node:26.10.0-trixie-slim"
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/compiled \
    EARTHFLOW_DATA_DIR=/var/lib/earthflow
WORKDIR /app
# The spool and, where it is used, the embedded database. Everything else may be read-only; /tmp may be a tmpfs.
RUN install -d -o 1000 -g 1000 -m 0700 /var/lib/earthflow
COPY --from=packages /app/LICENSE /app/package.json ./
COPY --from=packages /app/node_modules node_modules
COPY --from=packages /app/drizzle drizzle
COPY --from=packages /app/src src
COPY --from=packages /app/compiled compiled
USER 1000:1000
VOLUME /var/lib/earthflow
EXPOSE 8443 8080
# Node is process 1 and takes SIGTERM itself: open calls may end (EARTHFLOW_DRAIN_SECONDS), so whoever stops the container has to wait so long.
STOPSIGNAL SIGTERM
# Asks the process whether it lives, at the port and in the way (EARTHFLOW_PORT, EARTHFLOW_TLS) that its settings say.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["node", "--max-semi-space-size=16", "/app/src/main.ts", "healthcheck"]
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/src/main.ts"]
CMD ["start"]

# docker build --target tools -t earthflow-tools:0.1.0 .   adds pg_dump and pg_restore, for `backup` and `restore` of PostgreSQL up to this version.
FROM program AS tools
USER 0:0
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/*
USER 1000:1000
HEALTHCHECK NONE
CMD ["help"]

FROM program
