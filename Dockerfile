# The server as an image: a static user, no shell needed, SIGTERM drains.
FROM rust:1.95-slim-trixie AS build
WORKDIR /build
COPY . .
# Without rustup's file: the image is the toolchain.
RUN rm -f rust-toolchain.toml && cargo build --locked --release -p darda-server

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/release/darda-server /usr/local/bin/darda-server
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["darda-server"]
