/*
 * api_object: the text of one object of the Kubernetes API, and the parts of it that both the
 * Secret and the webhook configuration have. Pure; thread-safe.
 */
#ifndef LASTWORD_CERTS_API_OBJECT_H
#define LASTWORD_CERTS_API_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

#define RESOURCE_VERSION_SIZE 64
#define PEM_MAX               ((size_t)2 * 1024 * 1024) /* bytes; the API's limit for a request is 3 MiB */

struct api_object {
	enum { API_OBJECT_UNKNOWN, API_OBJECT_ABSENT, API_OBJECT_READ } presence;
	const char *text; /* of API_OBJECT_READ: JSON, not trusted */
	size_t length;
};

/* False unless the text is JSON of that kind. *ret_root is in the arena. */
bool api_object_parse(struct arena *arena, const struct api_object *object, const char *kind,
                      json **ret_root, struct error *error);

/* metadata.resourceVersion */
bool api_object_version(const json *root, char ret_version[RESOURCE_VERSION_SIZE],
                        struct error *error);

/* Replaces the content of out by the decoded base64 text of a member; a missing member is empty.
 * *ret_clean: the text was base64 of at most PEM_MAX bytes; if not, out is empty. False only when
 * memory is short. */
bool api_object_decode(const json *object, const char *key, struct buffer *out, bool *ret_clean);

#endif
