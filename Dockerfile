# The two images. What goes in is said by manifests/images/*.list, through `make rootfs`.
#   docker buildx build --platform linux/amd64,linux/arm64 --target watchdog -t ghcr.io/lastword/lastword-watchdog:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --target servers  -t ghcr.io/lastword/lastword:0.1.0 .
# Only the build happens in Debian; the images hold what is listed and nothing else. The digest is of the
# list of Debian's images for all architectures; `docker buildx imagetools inspect debian:bookworm-slim`
# shows the current one. The tests reach no registry: they build on a Debian that debootstrap makes.
ARG DEBIAN=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716

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
LABEL org.opencontainers.image.title=lastword-watchdog
LABEL org.opencontainers.image.description="The sidecar and the shim that see how an agent's container ends"
LABEL org.opencontainers.image.version=0.1.0
LABEL org.opencontainers.image.licenses=Apache-2.0
LABEL org.opencontainers.image.source=https://github.com/lastword/lastword
LABEL org.opencontainers.image.documentation=https://github.com/lastword/lastword/blob/main/docs/watchdog.md
ENTRYPOINT ["/shim"]

# Every program is called by its name; a container's command says which.
FROM scratch AS servers
COPY --from=build /src/build/rootfs/servers/ /
USER 65532:65532
ENV PATH=/usr/bin
LABEL org.opencontainers.image.title=lastword
LABEL org.opencontainers.image.description="The webhook, the observer and the command line of lastword"
LABEL org.opencontainers.image.version=0.1.0
LABEL org.opencontainers.image.licenses=Apache-2.0
LABEL org.opencontainers.image.source=https://github.com/lastword/lastword
LABEL org.opencontainers.image.documentation=https://github.com/lastword/lastword/blob/main/docs/install.md
CMD ["lastword", "--help"]
