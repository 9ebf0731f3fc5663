# CI Dashboard in a single process.
#
#   docker build -t ci-dashboard .
#   docker run -p 127.0.0.1:8080:8080 -e GITHUB_TOKEN=… -v ci-dashboard:/var/lib/ci-dashboard --read-only ci-dashboard
#
# The commit for --version: --build-arg CI_DASHBOARD_COMMIT="$(git rev-parse --short=12 HEAD)". Needs BuildKit (the default since
# Docker 23; DOCKER_BUILDKIT=1 before).

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
ARG CI_DASHBOARD_COMMIT=unknown
ENV CI_DASHBOARD_COMMIT=${CI_DASHBOARD_COMMIT}
# Registry and compiled dependencies stay in the builder's cache: a change of ours compiles what is ours.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package ci-dashboard --bin ci-dashboard \
    && install -D -m 0755 target/release/ci-dashboard /out/usr/bin/ci-dashboard \
    && install -d -m 0750 /out/var/lib/ci-dashboard

# glibc, certificates of public authorities, a user without rights; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="ci-dashboard" \
      org.opencontainers.image.source="https://github.com/ci-dashboard/ci-dashboard" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/usr /usr
COPY --from=build --chown=65532:65532 /out/var/lib/ci-dashboard /var/lib/ci-dashboard
WORKDIR /app
# A file mounted at /app/config/config.yaml is found.
ENV HOST=0.0.0.0 \
    STATE_DIRECTORY=/var/lib/ci-dashboard
USER 65532:65532
EXPOSE 8080
VOLUME ["/var/lib/ci-dashboard"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["/usr/bin/ci-dashboard", "--health"]
ENTRYPOINT ["/usr/bin/ci-dashboard"]
