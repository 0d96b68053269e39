# docker build -f docker/aggregator.Dockerfile -t chronicleweaver-aggregator:latest .

# What browsers get, built by development tools that no image contains.
FROM node:26-bookworm-slim AS dashboard
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protocol/package.json packages/protocol/
COPY packages/vitals/package.json packages/vitals/
COPY packages/dashboard/package.json packages/dashboard/
RUN npm pkg delete devDependencies \
 && npm ci --ignore-scripts --workspace packages/dashboard
COPY packages/protocol packages/protocol
COPY packages/vitals packages/vitals
COPY packages/dashboard packages/dashboard
RUN node packages/dashboard/build.ts


FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protocol/package.json packages/protocol/
COPY packages/terminal/package.json packages/terminal/
COPY packages/dashboard/package.json packages/dashboard/
COPY packages/aggregator/package.json packages/aggregator/

# Without development tools npm need not resolve their builds for every platform.
RUN npm pkg delete devDependencies \
 && npm ci --omit=dev --ignore-scripts --workspace packages/aggregator

# ReDoc is served as one file; the packages it was built from are most of what is installed.
RUN mv node_modules/redoc /tmp/redoc \
 && npm pkg delete dependencies.redoc --workspace packages/aggregator \
 && npm ci --omit=dev --ignore-scripts --workspace packages/aggregator \
 && mkdir -p node_modules/redoc/bundles \
 && cp /tmp/redoc/LICENSE /tmp/redoc/package.json node_modules/redoc/ \
 && cp /tmp/redoc/bundles/redoc.standalone.js /tmp/redoc/bundles/redoc.standalone.js.LICENSE.txt node_modules/redoc/bundles/

# Node strips types only outside node_modules, so TypeScript in there can never run; the packages' own tests are
# a quarter of what is left.
RUN find node_modules packages/*/node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.[cm]ts' \) -delete \
 && rm -rf node_modules/*/test node_modules/@*/*/test

# Readable by the image's user, whatever the umask of the checkout was.
COPY packages/protocol packages/protocol
COPY packages/terminal packages/terminal
COPY packages/aggregator packages/aggregator
COPY --from=dashboard /app/packages/dashboard/dist packages/dashboard/dist
RUN chmod -R a+rX packages


FROM node:26-bookworm-slim
LABEL org.opencontainers.image.title="ChronicleWeaver aggregator" \
      org.opencontainers.image.description="A log aggregator that never loses an event it acknowledged and never keeps the same event twice" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app

# SQLite's spills go to the volume: the rest of the file system may be read-only, and memory is for events.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DEDUPLICATION_DB_PATH=/app/data/chronicle.db \
    SQLITE_TMPDIR=/app/data

# As in start.js, which would otherwise restart the process to set them.
ENV MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=33554432 \
    MALLOC_TRIM_THRESHOLD_=67108864

# A new volume takes its owner from this folder, so it must exist and belong to node before VOLUME.
RUN mkdir data && chown node:node data
VOLUME /app/data

COPY LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages packages

# One start fills Node's compile cache, so that no container strips types again, even on a read-only file system.
ENV NODE_COMPILE_CACHE=/app/.compile-cache
RUN node packages/aggregator/src/programs/warm-up.ts && chmod -R a+rX .compile-cache

USER node
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "require(process.env.TLS_CERT_FILE ? 'https' : 'http').get({ host: '127.0.0.1', port: process.env.APP_PORT || 8000, path: '/health', rejectUnauthorized: false }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=4", "packages/aggregator/src/start.js"]
