/*
 * certificate_state: what the Secret and the webhook configuration contain, parsed: the view that
 * rotate decides on, and the certificates and keys behind it.
 *
 * Owns certificates and keys; certificate_state_free() wipes the keys. Not for several threads at a
 * time.
 */
#ifndef LASTWORD_CERTS_STATE_H
#define LASTWORD_CERTS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/api_object.h"
#include "certs/rotate.h"
#include "certs/x509.h"
#include "lib/base/error.h"

struct buffer;

#define CA_BUNDLES_MAX 64 /* webhooks of one configuration */

struct certificate_state {
	struct rotate_view view;
	struct certificate *cas[ROTATE_CAS_MAX]; /* as in view */
	struct private_key *signer_key;          /* ca.key; NULL: none */
	struct certificate *leaf;                /* tls.crt; NULL: none */
	struct private_key *leaf_key;            /* tls.key; NULL: none */
	char secret_version[RESOURCE_VERSION_SIZE];
	char configuration_version[RESOURCE_VERSION_SIZE];
	size_t webhook_count;
	bool right[CA_BUNDLES_MAX]; /* webhook i's caBundle has exactly the CAs of ca.crt */
};

/* Empty, so that it may be freed. */
void certificate_state_init(struct certificate_state *state);
void certificate_state_free(struct certificate_state *state);
#define _cleanup_certificate_state_ __attribute__((cleanup(certificate_state_free)))

/* Adds the CA certificates of a PEM text to the state, each once; found[i] is set for each.
 * *ret_clean: the text had nothing else, and there was room for all. False only when memory is
 * short. */
bool certificate_state_add_cas(struct certificate_state *state, const struct buffer *pem,
                               bool found[ROTATE_CAS_MAX], bool *ret_clean, struct error *error);

/* Appends the CA certificates chosen by keep[i], as PEM; keep NULL: those of ca.crt. False when
 * there is no memory or room. */
bool certificate_state_write_cas(const struct certificate_state *state, const bool *keep,
                                 struct buffer *out);

/* In nanoseconds; not_after is the first moment after validity, as rotate wants it. */
void certificate_validity(const struct certificate *certificate, int64_t *ret_not_before,
                          int64_t *ret_not_after);

#endif
