# The two images. What goes in is said by manifests/images/*.list, through `make rootfs`.
#   docker build --target watchdog -t ghcr.io/lastword/lastword-watchdog:0.1.0 .
#   docker build --target servers  -t ghcr.io/lastword/lastword:0.1.0 .
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make
WORKDIR /src
COPY Makefile ./
RUN make build-deps
COPY . .
RUN make -j2 rootfs

FROM scratch AS watchdog
COPY --from=build /src/build/rootfs/watchdog/ /
USER 65532:65532
ENTRYPOINT ["/shim"]

# Every program is called by its name; a container's command says which.
FROM scratch AS servers
COPY --from=build /src/build/rootfs/servers/ /
USER 65532:65532
ENV PATH=/usr/bin
CMD ["lastword", "--help"]
