/*
 * digest: the SHA-256 by which registries name content. Pure; thread-safe.
 */
#ifndef LASTWORD_LIB_REGISTRY_DIGEST_H
#define LASTWORD_LIB_REGISTRY_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/registry/reference.h"

/* "sha256:…" of the bytes; false: the library failed. */
bool image_digest(const void *bytes, size_t length, char ret_digest[REFERENCE_DIGEST_SIZE]);

#endif
