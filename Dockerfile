# Oxbow as one image: the web app is embedded in the binary, GStreamer's plugins lie beside it.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl git build-essential && rm -rf /var/lib/apt/lists/*
COPY --from=node:20-bookworm-slim /usr/local /usr/local
COPY --from=rust:1.95-slim-bookworm /usr/local/cargo /usr/local/cargo
COPY --from=rust:1.95-slim-bookworm /usr/local/rustup /usr/local/rustup
ENV PATH=/usr/local/cargo/bin:$PATH RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo OXBOW_CACHE=/cache
WORKDIR /oxbow
COPY . .
# The same two scripts that `make run` calls.
RUN scripts/install-packages.sh && scripts/build.sh --release && cp /cache/target/release/oxbow /usr/local/bin/oxbow

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates curl libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 \
      gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data oxbow && install -d -o oxbow -g oxbow /data
COPY --from=build /usr/local/bin/oxbow /usr/local/bin/oxbow
USER oxbow
ENV DATA_DIR=/data ENVIRONMENT=production
VOLUME /data
EXPOSE 8080/tcp 8189/udp 8189/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD curl -fsS http://127.0.0.1:8080/healthz || exit 1
STOPSIGNAL SIGTERM
ENTRYPOINT ["oxbow"]
CMD ["serve"]
