/*
 * credentials: who one is at a registry, from a config.json as `docker login` and Kubernetes' pull
 * secrets (kubernetes.io/dockerconfigjson) have it. Pure.
 *
 *   {"auths": {"registry.example.com": {"auth": "<base64 of user:password>"}}}
 *
 * username and password may stand for themselves, and an identitytoken for both. Credential helpers
 * (credsStore, credHelpers) are programs; they are named, not run.
 */
#ifndef LASTWORD_LIB_REGISTRY_CREDENTIALS_H
#define LASTWORD_LIB_REGISTRY_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct credentials {
	const char *user; /* NULL: anonymous */
	const char *password;
	const char *identity_token; /* NULL: none; to be exchanged for a bearer token */
};

/*
 * What the text says of the registry (as in image_reference.registry); anonymous when it says
 * nothing. False: it is no config.json, what it says of the registry is not understood, or it
 * leaves that to a helper, which error names. Texts belong to the arena.
 */
bool credentials_read(struct arena *arena, const char *text, size_t length, const char *registry,
                      struct credentials *ret_credentials, struct error *error);

/* The same of a file; error names it. No copy of its text is left behind. */
bool credentials_load(struct arena *arena, const char *path, const char *registry,
                      struct credentials *ret_credentials, struct error *error);

#endif
