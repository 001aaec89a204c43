/*
 * image: what a registry's documents about an image say. Pure.
 *
 * An image is an index (one manifest for each platform) or a manifest; a manifest names the
 * configuration, which has the command. OCI image specification (image-index.md, manifest.md,
 * config.md) and Docker's image manifest, version 2, schema 2, which have the same shape.
 *
 * Everything read here is untrusted: a document that is not what it should be is an error, unknown
 * members are passed over. Texts belong to the arena.
 */
#ifndef LASTWORD_LIB_REGISTRY_IMAGE_H
#define LASTWORD_LIB_REGISTRY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

/* The media types that are asked for and understood. */
#define IMAGE_ACCEPT                                                 \
	"application/vnd.oci.image.index.v1+json,"                   \
	"application/vnd.docker.distribution.manifest.list.v2+json," \
	"application/vnd.oci.image.manifest.v1+json,"                \
	"application/vnd.docker.distribution.manifest.v2+json"

#define IMAGE_PLATFORMS_MAX 16

struct image_platform {
	const char *os;           /* as Go names it: "linux" */
	const char *architecture; /* "amd64" */
	const char *digest;       /* of its manifest */
};

struct image_manifest {
	struct image_platform platforms[IMAGE_PLATFORMS_MAX]; /* of an index */
	size_t platform_count;
	const char *config_digest; /* of a manifest; NULL: it is an index */
};

/* Reads an index or a manifest. An index's entries without a platform that runs containers
 * (attestations name "unknown") are left out, and so are those beyond IMAGE_PLATFORMS_MAX. */
bool image_manifest_read(struct arena *arena, const char *text, size_t length,
                         struct image_manifest *ret_manifest, struct error *error);

struct image_config {
	const char *os; /* "linux"; never NULL, like the architecture */
	const char *architecture;
	const char **entrypoint; /* entrypoint_count texts */
	size_t entrypoint_count;
	const char **cmd;
	size_t cmd_count;
};

/* The platform and the command of an image's configuration; both lists may be empty. */
bool image_config_read(struct arena *arena, const char *text, size_t length,
                       struct image_config *ret_config, struct error *error);

/* Their commands are the same. */
bool image_config_equal(const struct image_config *a, const struct image_config *b);

#endif
