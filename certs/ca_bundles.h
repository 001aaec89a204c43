/*
 * ca_bundles: the caBundles of the MutatingWebhookConfiguration, as JSON of the API, to and from
 * certificate_state.
 *
 * What is written is a JSON patch (RFC 6902) that tests the resourceVersion and sets
 * /webhooks/N/clientConfig/caBundle where it is not right: it cannot change anything else. The API
 * server refuses the patch with 422 when the configuration has changed since it was read.
 *
 * The content is not trusted: a caBundle that cannot be read counts as wrong. Pure; thread-safe for
 * different states.
 */
#ifndef LASTWORD_CERTS_CA_BUNDLES_H
#define LASTWORD_CERTS_CA_BUNDLES_H

#include <stdbool.h>

#include "certs/state.h"

/* Parses the configuration into a state that secret_read() has filled. False when the object is not
 * JSON of its kind, has too many webhooks, or when memory is short. */
bool ca_bundles_read(struct certificate_state *state, struct arena *arena,
                     const struct api_object *object, struct buffer *scratch, struct error *error);

/* Writes the JSON patch that carries out plan.step ROTATE_WRITE_BUNDLES. */
bool ca_bundles_write(const struct certificate_state *state, struct buffer *body,
                      struct error *error);

#endif
