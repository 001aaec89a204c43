/*
 * tls_identity: the certificate and key that a TLS server presents, changed while it serves. The
 * only home of GnuTLS.
 *
 * A handshake keeps pointing to the identity it began with, so one that was replaced is kept for
 * ten minutes, longer than any handshake may take. GnuTLS passes no context to its callback: there
 * is one set of identities a process, from tls_identities_new() to tls_identities_free().
 *
 * Thread-safe, except that free comes last, when no handshake runs any more.
 */
#ifndef LASTWORD_LIB_HTTP_TLS_IDENTITY_H
#define LASTWORD_LIB_HTTP_TLS_IDENTITY_H

#include <stdbool.h>
#include <time.h>

#include "lib/base/error.h"

struct tls_identities;

/* NULL when there is no memory. Handshakes fail until an identity is set. */
struct tls_identities *tls_identities_new(void);
void tls_identities_free(struct tls_identities *identities);

/* See http_server_set_identity(). */
bool tls_identities_set(struct tls_identities *identities, const char *chain_pem,
                        const char *key_pem, time_t *ret_not_before, time_t *ret_not_after,
                        struct error *error);

/* The value of MHD_OPTION_HTTPS_CERT_CALLBACK: picks the present identity for a handshake. */
void *tls_identity_callback(void);

#endif
