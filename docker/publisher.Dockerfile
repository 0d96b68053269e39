# docker build -f docker/publisher.Dockerfile -t chronicleweaver-publisher:latest .

FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protocol/package.json packages/protocol/
COPY packages/client/package.json packages/client/
COPY packages/terminal/package.json packages/terminal/
COPY packages/publisher/package.json packages/publisher/

# Without development tools npm need not resolve their builds for every platform.
RUN npm pkg delete devDependencies \
 && npm ci --omit=dev --ignore-scripts --workspace packages/publisher

# Readable by the image's user, whatever the umask of the checkout was.
COPY packages/protocol packages/protocol
COPY packages/client packages/client
COPY packages/terminal packages/terminal
COPY packages/publisher packages/publisher
RUN chmod -R a+rX packages


FROM node:26-bookworm-slim
LABEL org.opencontainers.image.title="ChronicleWeaver publisher" \
      org.opencontainers.image.description="The stress publisher of ChronicleWeaver: sends events with duplicates and checks the books afterwards" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
ENV NODE_ENV=production

COPY LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/packages packages

USER node
# An entry point, so that flags can follow the image's name: `docker run … chronicleweaver-publisher --count=100000`.
ENTRYPOINT ["node", "packages/publisher/src/main.ts"]
