/*
 * secret: the Secret that the replicas share, as JSON of the API, to and from certificate_state.
 *
 *   tls.crt, tls.key   the leaf certificate that all replicas serve, and its key
 *   ca.crt, ca.key     the CAs that the caBundles trust, and the key of the signing one
 *   annotations        lastword.dev/serving-ca ("ID"): the CA whose leaf certificates may be served
 *                      lastword.dev/next-ca ("ID TIME"): the CA that follows, and when every
 *                      caBundle had it. rotate.h explains both.
 *
 * A missing Secret is created with POST (type kubernetes.io/tls). One that exists is changed with a
 * merge patch (RFC 7386) that names the resourceVersion: the API server answers 409 when another
 * replica was faster. Other keys, labels and annotations stay, and so does its type.
 *
 * The content is not trusted: what cannot be read counts as missing, and rotate replaces it. Pure:
 * time and randomness are arguments. Thread-safe for different states.
 */
#ifndef LASTWORD_CERTS_SECRET_H
#define LASTWORD_CERTS_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/names.h"
#include "certs/state.h"

/* Parses the Secret into an empty state; one that is not API_OBJECT_READ adds nothing. Who issued
 * the leaf, and whose key ca.key is, is left to read_state. scratch: a buffer for secrets. False
 * when the object is not JSON of a Secret, or when memory is short. */
bool secret_read(struct certificate_state *state, struct arena *arena,
                 const struct api_object *object, const struct certificate_names *names,
                 struct buffer *scratch, struct error *error);

/* The leaf certificate of the Secret and its key, as PEM. */
bool secret_leaf(const struct certificate_state *state, struct buffer *chain, struct buffer *key,
                 struct error *error);

/* Writes the body that carries out plan.step ROTATE_WRITE_SECRET: that of a POST when there is no
 * Secret, else a merge patch. serials: random, for a CA and for a leaf. body: for secrets. */
bool secret_write(const struct certificate_state *state, const struct rotate_plan *plan,
                  const struct certificate_names *names, const struct rotate_policy *policy,
                  int64_t now, unsigned char serials[2][X509_SERIAL_SIZE], struct buffer *body,
                  struct error *error);

#endif
