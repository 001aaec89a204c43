/*
 * patch: makes, prints and applies JSON Patches (RFC 6902) of add and replace operations.
 *
 * Operations are kept in order. Paths are JSON Pointers (RFC 6901); the makers below escape every
 * token. A value belongs to the arena it was made in and is not changed by applying, which works
 * on copies. Failure (no memory, a value that is NULL) is sticky: ask patch.failed once.
 *
 * patch_apply() is strict, as the API server's implementation is (evanphx/json-patch): a missing
 * parent, a replace of what is not there, or an index past the end is an error. A patch that the
 * API server cannot apply rejects the pod even when the webhook's failures are to be ignored.
 */
#ifndef LASTWORD_WEBHOOK_PATCH_H
#define LASTWORD_WEBHOOK_PATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

struct patch_operation {
	const char *kind; /* "add" or "replace" */
	const char *path;
	json *value;
};

struct patch {
	struct arena *arena;
	struct patch_operation *operations;
	size_t count;
	size_t capacity;
	bool failed;
};

/* An empty patch; all it holds comes from the arena. */
void patch_init(struct patch *patch, struct arena *arena);

/* The path is the tokens, each escaped, up to a NULL: (patch, value, "metadata", "labels", NULL).
 * "-" as last token of an add appends to an array. */
void patch_add(struct patch *patch, json *value, ...) __attribute__((sentinel));
void patch_replace(struct patch *patch, json *value, ...) __attribute__((sentinel));

/* The array of operations, compact. prefix: the pointer to what the patch is for, "" for all. */
void patch_print(const struct patch *patch, const char *prefix, struct buffer *out);

/* Changes the document in place; on failure it may be changed in part. */
bool patch_apply(const struct patch *patch, json *document, struct error *error);

#endif
