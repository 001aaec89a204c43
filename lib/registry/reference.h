/*
 * reference: the name of a container image, as a pod writes it. Pure.
 *
 *   [HOST[:PORT]/]PATH[:TAG][@sha256:HEX]
 *
 * The grammar is that of github.com/distribution/reference, which kubelets and container runtimes
 * use. A first part without a dot, a colon or the word localhost is no host: such an image is on
 * Docker Hub, and one without any slash there in the project "library". Without tag and digest the
 * tag is "latest".
 */
#ifndef LASTWORD_LIB_REGISTRY_REFERENCE_H
#define LASTWORD_LIB_REGISTRY_REFERENCE_H

#include <stdbool.h>

#include "lib/base/error.h"

#define REFERENCE_HOST_SIZE   256
#define REFERENCE_PATH_SIZE   256 /* the grammar's own limit for a whole name */
#define REFERENCE_TAG_SIZE    129
#define REFERENCE_DIGEST_SIZE 72 /* "sha256:" and 64 digits */

struct image_reference {
	char registry[REFERENCE_HOST_SIZE]; /* as the reference names it: "docker.io" for Docker Hub
	                                     */
	char host[REFERENCE_HOST_SIZE];     /* whom to ask, with the port if there is one */
	char path[REFERENCE_PATH_SIZE];
	char tag[REFERENCE_TAG_SIZE];       /* "": none, there is a digest */
	char digest[REFERENCE_DIGEST_SIZE]; /* "": none */
};

/* error says what is wrong with the text. */
bool image_reference_parse(const char *text, struct image_reference *ret_reference,
                           struct error *error);

/* "sha256:" and 64 lower-case hexadecimal digits. */
bool image_digest_is_valid(const char *text);

#endif
