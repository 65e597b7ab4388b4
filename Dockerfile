# darda-server as an image that holds it, the libraries that it is linked to, and the authorities that
# TLS believes: no shell, no package manager, nobody but an ordinary user.
#
# Not one static binary: musl's allocator is slow under load, and glibc looks names up by its shared
# library. No syntax of BuildKit's, so that `docker build`, buildah and kaniko all do.

ARG RUST_IMAGE=rust:1.95-slim-trixie

FROM ${RUST_IMAGE} AS compiled
WORKDIR /build
COPY . .
# Without rustup's file: the image is the toolchain.
RUN rm -f rust-toolchain.toml \
    && cargo build --locked --release -p darda-server \
    && scripts/image-root.sh target/release/darda-server /image

FROM scratch
COPY --from=compiled /image /
LABEL org.opencontainers.image.title="darda-server" \
    org.opencontainers.image.description="Chat over WebSocket and HTTP, on RabbitMQ, MongoDB and Redis" \
    org.opencontainers.image.source="https://github.com/darda-chat/darda" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
ENV PATH=/usr/local/bin
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["darda-server"]
