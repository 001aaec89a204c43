/*
 * registry: asks an image registry what command an image has (OCI distribution specification).
 *
 *   GET /v2/PATH/manifests/TAG|DIGEST   an index or a manifest; 401: a token, then once more
 *   GET /v2/PATH/manifests/DIGEST       of an index: the manifest of each platform that is wanted
 *   GET /v2/PATH/blobs/DIGEST           the configuration; may redirect to a storage
 *
 * Everything that is asked for by digest must have that digest; a tag's content is named by the
 * digest that it has now. Each request takes at most 20 s, and 5 s without a byte; a document is at
 * most 4 MiB. Nothing is written anywhere, and nothing is kept but connections and the token.
 *
 * Thread safety: a client belongs to one thread; registry_client_stop() may be called from any.
 */
#ifndef LASTWORD_LIB_REGISTRY_CLIENT_H
#define LASTWORD_LIB_REGISTRY_CLIENT_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/document/json.h"
#include "lib/registry/credentials.h"
#include "lib/registry/image.h"
#include "lib/registry/reference.h"

struct registry_client;

/* ca_file: PEM; NULL: the system's CAs. NULL when there is no memory. */
struct registry_client *registry_client_new(const char *ca_file);
/* NULL is fine. */
void registry_client_free(struct registry_client *client);
static inline void registry_client_cleanup(struct registry_client **client)
{
	registry_client_free(*client);
}
#define _cleanup_registry_client_ __attribute__((cleanup(registry_client_cleanup)))

/* What is under way, and all that comes after it, fails at once. Any thread. */
void registry_client_stop(struct registry_client *client);

struct registry_image {
	char digest[REFERENCE_DIGEST_SIZE]; /* of the index or manifest that the reference names */
	struct image_config config;
};

/*
 * The command of the image. platform: "linux/arm64" picks one; NULL: those of linux/amd64 and
 * linux/arm64, as far as the image has them, must have the same command. Texts belong to the arena.
 */
bool registry_resolve(struct registry_client *client, struct arena *arena,
                      const struct image_reference *reference,
                      const struct credentials *credentials, const char *platform,
                      struct registry_image *ret_image, struct error *error);

#endif
