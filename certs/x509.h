/*
 * x509: makes, reads, checks and writes keys and certificates. The only module that uses OpenSSL.
 *
 * It makes CA and leaf certificates with ECDSA P-256 keys and ecdsa-with-SHA256 signatures, in
 * the profile of RFC 5280 that Go's crypto/x509 and `openssl verify -x509_strict` insist on:
 *   CA         basicConstraints CA:TRUE, pathlen:0 (critical), keyUsage keyCertSign, cRLSign
 *              (critical), subject key identifier
 *   leaf       basicConstraints CA:FALSE (critical), keyUsage digitalSignature (critical),
 *              extended key usage serverAuth, subject and authority key identifiers, the DNS names
 *              as subject alternative names
 * and with serial numbers of 128 random bits.
 *
 * Time is an argument: seconds since 1970, UTC. Randomness for a serial number is an argument too;
 * keys and signatures take OpenSSL's own generator.
 *
 * Certificates and keys belong to the caller, who frees them; freeing wipes keys. Keys leave this
 * module as PKCS #8 PEM only, into a buffer that the caller made for secrets (lib/base/buffer.h).
 * No error message holds key material. Input is untrusted: whatever the bytes, the result is a
 * value or an error. Thread-safe for different objects.
 */
#ifndef LASTWORD_CERTS_X509_H
#define LASTWORD_CERTS_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct buffer;
struct certificate;
struct private_key;

#define X509_ID_SIZE     32 /* bytes of the SHA-256 of a certificate's DER */
#define X509_SERIAL_SIZE 16
#define X509_NAMES_MAX   8
#define X509_NAME_MAX    253 /* characters of a DNS name */

void x509_certificate_free(struct certificate *certificate);
void x509_key_free(struct private_key *key); /* wipes it */
static inline void x509_certificate_cleanup(struct certificate **certificate)
{
	x509_certificate_free(*certificate);
}
static inline void x509_key_cleanup(struct private_key **key)
{
	x509_key_free(*key);
}
#define _cleanup_certificate_ __attribute__((cleanup(x509_certificate_cleanup)))
#define _cleanup_key_         __attribute__((cleanup(x509_key_cleanup)))

/* ---- Making ---- */

struct x509_profile {
	const char *common_name;                /* at most 64 bytes (RFC 5280, ub-common-name) */
	const char *const *names;               /* DNS names; leaves only */
	size_t name_count;                      /* 1 to X509_NAMES_MAX */
	int64_t not_before;                     /* first second of validity */
	int64_t not_after;                      /* last second of validity; up to the year 9999 */
	unsigned char serial[X509_SERIAL_SIZE]; /* random; not all zeros */
};

/* A self-signed CA certificate and its key. */
bool x509_make_ca(const struct x509_profile *profile, struct certificate **ret_certificate,
                  struct private_key **ret_key, struct error *error);

/* A leaf certificate, signed by the CA with its key. */
bool x509_make_leaf(const struct x509_profile *profile, const struct certificate *ca,
                    const struct private_key *ca_key, struct certificate **ret_certificate,
                    struct private_key **ret_key, struct error *error);

/* X509_NO_MEMORY: the result is not known because memory is short. That is not a no: for a no the
 * caller may discard a key. */
enum x509_result { X509_NO, X509_YES, X509_NO_MEMORY };

/* ---- Reading and writing ---- */

/* Reads the certificates of a PEM text as Go's CertPool.AppendCertsFromPEM does: each block by
 * itself, so that a broken one hides no other. At most capacity are stored in list.
 * *ret_clean: every CERTIFICATE block was read, stored, and no other kind of block was there;
 * text between blocks does not count. False only when there is no memory; then nothing is
 * stored. */
bool x509_read_certificates(const char *pem, size_t length, struct certificate **list,
                            size_t capacity, size_t *ret_count, bool *ret_clean,
                            struct error *error);

/* The first private key of a PEM text, unencrypted (PKCS #8, or the older forms). */
enum x509_result x509_read_key(const char *pem, size_t length, struct private_key **ret_key,
                               struct error *error);

/* Append PEM. False when there is no memory or room. */
bool x509_write_certificate(const struct certificate *certificate, struct buffer *out);
bool x509_write_key(const struct private_key *key, struct buffer *out);

/* ---- Facts ---- */

/* Identifies the certificate: SHA-256 of its DER. False when there is no memory. */
bool x509_id(const struct certificate *certificate, unsigned char ret_id[X509_ID_SIZE]);

/* First and last second of validity, as written; a time before 1970 or past 9999 cannot be. */
void x509_validity(const struct certificate *certificate, int64_t *ret_not_before,
                   int64_t *ret_not_after);

/* May sign leaves: CA:TRUE, and keyCertSign where a key usage is given. */
bool x509_is_ca(const struct certificate *certificate);

/* Does the key belong to the certificate? */
enum x509_result x509_key_matches(const struct certificate *certificate,
                                  const struct private_key *key);

/* Does a client that trusts only this CA, and whose clock shows second now, accept the certificate
 * for a server? error says why not. */
enum x509_result x509_verify(const struct certificate *leaf, const struct certificate *ca,
                             int64_t now, struct error *error);

/* Is it a certificate for each of the DNS names? error says for which it is not. */
enum x509_result x509_has_names(const struct certificate *leaf, const char *const *names,
                                size_t name_count, struct error *error);

#endif
