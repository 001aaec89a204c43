#include "lib/http/tls_identity.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#define CHAIN_MAX 8
/* A handshake that began with a retired identity has ended by then. */
#define RETIRED_SECONDS 600

struct identity {
	struct identity *next; /* retired before */
	int64_t retired;       /* when, monotonic nanoseconds */
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned count;
	gnutls_privkey_t key;
};

struct tls_identities {
	pthread_mutex_t lock; /* of what follows */
	struct identity *present;
	struct identity *retired;
};

/* GnuTLS passes no context to the callback: the identities of the one server with TLS. */
static _Atomic(struct tls_identities *) served;

static void identity_free(struct identity *identity)
{
	if (identity == NULL)
		return;
	for (unsigned i = 0; i < identity->count; i++)
		gnutls_pcert_deinit(&identity->chain[i]);
	if (identity->key != NULL)
		gnutls_privkey_deinit(identity->key);
	free(identity);
}

/* GnuTLS uses what it gets until the handshake is over, so replaced identities are kept for a
 * while. */
static int choose_identity(gnutls_session_t session, const gnutls_datum_t *ca_names, int ca_count,
                           const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                           gnutls_pcert_st **ret_chain, unsigned *ret_count,
                           gnutls_privkey_t *ret_key)
{
	(void)session;
	(void)ca_names;
	(void)ca_count;
	(void)algorithms;
	(void)algorithm_count;
	struct tls_identities *identities = atomic_load(&served);
	if (identities == NULL)
		return -1;
	pthread_mutex_lock(&identities->lock);
	struct identity *identity = identities->present;
	pthread_mutex_unlock(&identities->lock);
	if (identity == NULL)
		return -1;
	*ret_chain = identity->chain;
	*ret_count = identity->count;
	*ret_key = identity->key;
	return 0;
}

static bool read_validity(const gnutls_datum_t *chain, time_t *ret_not_before,
                          time_t *ret_not_after, struct error *error)
{
	gnutls_x509_crt_t leaf;
	int status = gnutls_x509_crt_init(&leaf);
	if (status < 0)
		return error_set(error, "%s", gnutls_strerror(status));
	status = gnutls_x509_crt_import(leaf, chain, GNUTLS_X509_FMT_PEM);
	if (status >= 0) {
		*ret_not_before = gnutls_x509_crt_get_activation_time(leaf);
		*ret_not_after = gnutls_x509_crt_get_expiration_time(leaf);
	}
	gnutls_x509_crt_deinit(leaf);
	return status >= 0 || error_set(error, "certificate: %s", gnutls_strerror(status));
}

static bool import_identity(struct identity *identity, const gnutls_datum_t *chain,
                            const gnutls_datum_t *key, struct error *error)
{
	unsigned count = CHAIN_MAX;
	int status = gnutls_pcert_list_import_x509_raw(identity->chain, &count, chain,
	                                               GNUTLS_X509_FMT_PEM, 0);
	if (status < 0 || count == 0)
		return error_set(error, "certificate chain (at most %d): %s", CHAIN_MAX,
		                 gnutls_strerror(status));
	identity->count = count;
	status = gnutls_privkey_init(&identity->key);
	if (status >= 0)
		status = gnutls_privkey_import_x509_raw(identity->key, key, GNUTLS_X509_FMT_PEM,
		                                        NULL, 0);
	return status >= 0 || error_set(error, "key: %s", gnutls_strerror(status));
}

/* By the public keys' identifiers: gnutls_certificate_set_x509_key_mem() would check it too, but
 * leaks the chain when they differ (GnuTLS 3.7.9). */
static bool check_pair(const struct identity *identity, struct error *error)
{
	unsigned char of_chain[64];
	unsigned char of_key[64];
	size_t chain_length = sizeof of_chain;
	size_t key_length = sizeof of_key;
	gnutls_pubkey_t public_key;
	int status = gnutls_pubkey_init(&public_key);
	if (status < 0)
		return error_set(error, "%s", gnutls_strerror(status));
	status = gnutls_pubkey_import_privkey(public_key, identity->key, 0, 0);
	if (status >= 0)
		status = gnutls_pubkey_get_key_id(public_key, 0, of_key, &key_length);
	if (status >= 0)
		status = gnutls_pubkey_get_key_id(identity->chain[0].pubkey, 0, of_chain,
		                                  &chain_length);
	gnutls_pubkey_deinit(public_key);
	if (status < 0)
		return error_set(error, "key: %s", gnutls_strerror(status));
	if (chain_length != key_length || memcmp(of_chain, of_key, key_length) != 0)
		return error_set(error, "the key is not the certificate's");
	return true;
}

static void install(struct tls_identities *identities, struct identity *identity)
{
	int64_t time = clock_now();
	pthread_mutex_lock(&identities->lock);
	if (identities->present != NULL) {
		identities->present->retired = time;
		identities->present->next = identities->retired;
		identities->retired = identities->present;
	}
	identities->present = identity;
	struct identity **link = &identities->retired;
	while (*link != NULL) {
		struct identity *old = *link;
		if (time - old->retired < RETIRED_SECONDS * SECOND) {
			link = &old->next;
			continue;
		}
		*link = old->next;
		identity_free(old);
	}
	pthread_mutex_unlock(&identities->lock);
}

bool tls_identities_set(struct tls_identities *identities, const char *chain_pem,
                        const char *key_pem, time_t *ret_not_before, time_t *ret_not_after,
                        struct error *error)
{
	if (strlen(chain_pem) > UINT16_MAX || strlen(key_pem) > UINT16_MAX)
		return error_set(error, "certificate or key: larger than 64 KiB");
	gnutls_datum_t chain = {(unsigned char *)chain_pem, (unsigned)strlen(chain_pem)};
	gnutls_datum_t key = {(unsigned char *)key_pem, (unsigned)strlen(key_pem)};
	struct identity *identity = calloc(1, sizeof *identity);
	if (identity == NULL)
		return error_set(error, "no memory for a certificate");
	time_t not_before = 0;
	time_t not_after = 0;
	if (!read_validity(&chain, &not_before, &not_after, error) ||
	    !import_identity(identity, &chain, &key, error) || !check_pair(identity, error)) {
		identity_free(identity);
		return false;
	}
	install(identities, identity);
	*ret_not_before = not_before;
	*ret_not_after = not_after;
	return true;
}

struct tls_identities *tls_identities_new(void)
{
	struct tls_identities *identities = calloc(1, sizeof *identities);
	if (identities == NULL)
		return NULL;
	pthread_mutex_init(&identities->lock, NULL);
	atomic_store(&served, identities);
	return identities;
}

void tls_identities_free(struct tls_identities *identities)
{
	if (identities == NULL)
		return;
	atomic_store(&served, NULL);
	identity_free(identities->present);
	while (identities->retired != NULL) {
		struct identity *next = identities->retired->next;
		identity_free(identities->retired);
		identities->retired = next;
	}
	pthread_mutex_destroy(&identities->lock);
	free(identities);
}

void *tls_identity_callback(void)
{
	return (void *)(intptr_t)choose_identity;
}
