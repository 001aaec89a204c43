/*
 * read_state: parses the Secret and the webhook configuration, then finds out which CA issued the
 * leaf certificate and which one can issue the next. Pure; thread-safe.
 */
#ifndef LASTWORD_CERTS_READ_STATE_H
#define LASTWORD_CERTS_READ_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/names.h"
#include "certs/state.h"

/* The Secret must not be API_OBJECT_UNKNOWN. now and serial (random) are for a trial leaf
 * certificate, which shows whether clients accept what the CA signs. False when an object is not
 * JSON of its kind, or when memory is short; then *ret_state is empty. */
bool certificate_state_read(const struct api_object *secret, const struct api_object *configuration,
                            const struct certificate_names *names, int64_t now,
                            const unsigned char serial[X509_SERIAL_SIZE],
                            struct certificate_state *ret_state, struct error *error);

#endif
