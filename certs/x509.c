#include "certs/x509.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "lib/base/buffer.h"

/* 9999-12-31T23:59:59Z, the last second that a GeneralizedTime can say. */
#define SECOND_MAX INT64_C(253402300799)

/* The types of the header are OpenSSL's own under other names. */
static X509 *unwrap(const struct certificate *certificate)
{
	return (X509 *)(uintptr_t)certificate; /* OpenSSL's getters are not const-correct */
}

static EVP_PKEY *unwrap_key(const struct private_key *key)
{
	return (EVP_PKEY *)(uintptr_t)key;
}

void x509_certificate_free(struct certificate *certificate)
{
	X509_free(unwrap(certificate));
}

void x509_key_free(struct private_key *key)
{
	EVP_PKEY_free(unwrap_key(key));
}

/* The oldest entry of OpenSSL's queue for this thread, which is emptied. */
static bool fail(struct error *error, const char *doing)
{
	char text[256] = "no memory";
	unsigned long code = ERR_get_error();
	if (code != 0)
		ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return error_set(error, "%s: %s", doing, text);
}

/* ---- Making ---- */

static bool add_extension(X509 *certificate, int nid, void *value, int critical)
{
	return value != NULL &&
	       X509_add1_ext_i2d(certificate, nid, value, critical, X509V3_ADD_DEFAULT) == 1;
}

static bool add_basic_constraints(X509 *certificate, bool ca)
{
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	bool added = constraints != NULL;
	if (added && ca) {
		constraints->ca = 0xFF;
		constraints->pathlen = ASN1_INTEGER_new(); /* of value 0 */
		added = constraints->pathlen != NULL && ASN1_INTEGER_set(constraints->pathlen, 0);
	}
	added = added && add_extension(certificate, NID_basic_constraints, constraints, 1);
	BASIC_CONSTRAINTS_free(constraints);
	return added;
}

/* Bits of RFC 5280, 4.2.1.3, as ASN1_BIT_STRING_set_bit() counts them. */
enum key_usage_bit { DIGITAL_SIGNATURE = 0, KEY_CERT_SIGN = 5, CRL_SIGN = 6 };

static bool add_key_usage(X509 *certificate, bool ca)
{
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	bool added = usage != NULL;
	if (ca)
		added = added && ASN1_BIT_STRING_set_bit(usage, KEY_CERT_SIGN, 1) == 1 &&
		        ASN1_BIT_STRING_set_bit(usage, CRL_SIGN, 1) == 1;
	else
		added = added && ASN1_BIT_STRING_set_bit(usage, DIGITAL_SIGNATURE, 1) == 1;
	added = added && add_extension(certificate, NID_key_usage, usage, 1);
	ASN1_BIT_STRING_free(usage);
	return added;
}

static bool add_server_usage(X509 *certificate)
{
	EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
	bool added = usage != NULL &&
	             sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) > 0 &&
	             add_extension(certificate, NID_ext_key_usage, usage, 0);
	EXTENDED_KEY_USAGE_free(usage);
	return added;
}

/* The identifier is the SHA-1 of the public key (RFC 5280, 4.2.1.2, method 1): a name, not a
 * protection. */
static bool add_key_identifiers(X509 *certificate, X509 *ca)
{
	unsigned char digest[SHA_DIGEST_LENGTH];
	unsigned length = sizeof digest;
	ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();
	bool added = identifier != NULL &&
	             X509_pubkey_digest(certificate, EVP_sha1(), digest, &length) == 1 &&
	             ASN1_OCTET_STRING_set(identifier, digest, (int)length) == 1 &&
	             add_extension(certificate, NID_subject_key_identifier, identifier, 0);
	ASN1_OCTET_STRING_free(identifier);
	if (!added || ca == NULL)
		return added;

	/* A CA that somebody else made may have no identifier: then the leaf has none. */
	const ASN1_OCTET_STRING *issuer = X509_get0_subject_key_id(ca);
	if (issuer == NULL)
		return true;
	AUTHORITY_KEYID *authority_key_id = AUTHORITY_KEYID_new();
	added = authority_key_id != NULL &&
	        (authority_key_id->keyid = ASN1_OCTET_STRING_dup(issuer)) != NULL &&
	        add_extension(certificate, NID_authority_key_identifier, authority_key_id, 0);
	AUTHORITY_KEYID_free(authority_key_id);
	return added;
}

static bool push_name(GENERAL_NAMES *names, const char *name)
{
	GENERAL_NAME *general = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	if (general == NULL || text == NULL || ASN1_STRING_set(text, name, -1) != 1) {
		GENERAL_NAME_free(general);
		ASN1_IA5STRING_free(text);
		return false;
	}
	GENERAL_NAME_set0_value(general, GEN_DNS, text);
	if (sk_GENERAL_NAME_push(names, general) > 0)
		return true;
	GENERAL_NAME_free(general);
	return false;
}

static bool add_names(X509 *certificate, const struct x509_profile *profile)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool added = names != NULL;
	for (size_t i = 0; added && i < profile->name_count; i++)
		added = push_name(names, profile->names[i]);
	added = added && add_extension(certificate, NID_subject_alt_name, names, 0);
	GENERAL_NAMES_free(names);
	return added;
}

static bool set_serial(X509 *certificate, const unsigned char serial[X509_SERIAL_SIZE])
{
	BIGNUM *number = BN_bin2bn(serial, X509_SERIAL_SIZE, NULL);
	bool set = number != NULL && !BN_is_zero(number) &&
	           BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return set;
}

static bool set_subject(X509 *certificate, const char *common_name)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	return X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
	                                  (const unsigned char *)"lastword", -1, -1, 0) == 1 &&
	       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
	                                  (const unsigned char *)common_name, -1, -1, 0) == 1;
}

/* ca NULL: the certificate is a CA's, signed by itself. */
static bool fill(X509 *certificate, const struct x509_profile *profile, EVP_PKEY *key, X509 *ca,
                 EVP_PKEY *ca_key)
{
	bool own = ca == NULL;
	return X509_set_version(certificate, 2) == 1 && set_serial(certificate, profile->serial) &&
	       set_subject(certificate, profile->common_name) &&
	       X509_set_issuer_name(certificate, X509_get_subject_name(own ? certificate : ca)) ==
	               1 &&
	       ASN1_TIME_set(X509_getm_notBefore(certificate), profile->not_before) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(certificate), profile->not_after) != NULL &&
	       X509_set_pubkey(certificate, key) == 1 && add_basic_constraints(certificate, own) &&
	       add_key_usage(certificate, own) && (own || add_server_usage(certificate)) &&
	       add_key_identifiers(certificate, ca) && (own || add_names(certificate, profile)) &&
	       X509_sign(certificate, own ? key : ca_key, EVP_sha256()) > 0;
}

static bool check_profile(const struct x509_profile *profile, bool leaf, struct error *error)
{
	if (profile->not_before < 0 || profile->not_after > SECOND_MAX ||
	    profile->not_before > profile->not_after)
		return error_set(error, "expected a validity from 1970 to 9999 that ends after it "
		                        "begins");
	if (!leaf)
		return true;
	if (profile->name_count < 1 || profile->name_count > X509_NAMES_MAX)
		return error_set(error, "expected 1 to %d names", X509_NAMES_MAX);
	for (size_t i = 0; i < profile->name_count; i++) {
		size_t length = strlen(profile->names[i]);
		if (length == 0 || length > X509_NAME_MAX)
			return error_set(error, "expected names of 1 to %d characters",
			                 X509_NAME_MAX);
	}
	return true;
}

static bool make(const struct x509_profile *profile, X509 *ca, EVP_PKEY *ca_key,
                 struct certificate **ret_certificate, struct private_key **ret_key,
                 struct error *error)
{
	ERR_clear_error();
	X509 *certificate = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	if (certificate == NULL || key == NULL || !fill(certificate, profile, key, ca, ca_key)) {
		X509_free(certificate);
		EVP_PKEY_free(key);
		return fail(error, "making a certificate");
	}
	*ret_certificate = (struct certificate *)certificate;
	*ret_key = (struct private_key *)key;
	return true;
}

bool x509_make_ca(const struct x509_profile *profile, struct certificate **ret_certificate,
                  struct private_key **ret_key, struct error *error)
{
	return check_profile(profile, false, error) &&
	       make(profile, NULL, NULL, ret_certificate, ret_key, error);
}

bool x509_make_leaf(const struct x509_profile *profile, const struct certificate *ca,
                    const struct private_key *ca_key, struct certificate **ret_certificate,
                    struct private_key **ret_key, struct error *error)
{
	return check_profile(profile, true, error) &&
	       make(profile, unwrap(ca), unwrap_key(ca_key), ret_certificate, ret_key, error);
}

/* ---- Reading and writing ---- */

/* Instead of OpenSSL's own callback, which would ask on the terminal. */
static int no_password(char *text, int size, int writing, void *context)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

/* The next "-----BEGIN …" line's block in [*text, end), up to the end of its "-----END" line or of
 * the text; NULL: none. *text moves behind it. */
static const char *next_block(const char **text, const char *end, size_t *ret_length)
{
	static const char begin_mark[] = "-----BEGIN ";
	static const char end_mark[] = "-----END ";
	const char *start = memmem(*text, (size_t)(end - *text), begin_mark, sizeof begin_mark - 1);
	if (start == NULL)
		return NULL;
	const char *rest = start + sizeof begin_mark - 1;
	const char *last = memmem(rest, (size_t)(end - rest), end_mark, sizeof end_mark - 1);
	const char *next = memmem(rest, (size_t)(end - rest), begin_mark, sizeof begin_mark - 1);
	const char *stop = end;
	if (last != NULL && (next == NULL || last < next)) {
		const char *line = memchr(last, '\n', (size_t)(end - last));
		stop = line == NULL ? end : line + 1;
	} else if (next != NULL) {
		stop = next;
	}
	*text = stop;
	*ret_length = (size_t)(stop - start);
	return start;
}

/* Validity must be readable, so that nobody asks later. */
static bool read_time(const ASN1_TIME *time, int64_t *ret_second)
{
	struct tm parts;
	memset(&parts, 0, sizeof parts);
	if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
		return false;
	int64_t second = timegm(&parts);
	if (second < 0 || second > SECOND_MAX)
		return false;
	*ret_second = second;
	return true;
}

/* NULL: not a certificate that can be worked with. */
static X509 *read_block(const char *block, size_t length)
{
	int64_t second;
	BIO *bio = length > INT_MAX ? NULL : BIO_new_mem_buf(block, (int)length);
	X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_password, NULL);
	BIO_free(bio);
	/* OpenSSL parses key and extensions when they are first asked for: now, on this thread. */
	if (certificate != NULL)
		X509_check_purpose(certificate, -1, 0);
	if (certificate == NULL || X509_get0_pubkey(certificate) == NULL ||
	    !read_time(X509_get0_notBefore(certificate), &second) ||
	    !read_time(X509_get0_notAfter(certificate), &second)) {
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

/* The errors of what could not be read: was one of them that there is no memory? */
static bool ran_out_of_memory(void)
{
	bool found = false;
	for (unsigned long code; (code = ERR_get_error()) != 0;)
		found = found || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	return found;
}

/* For a no that OpenSSL gave. */
static enum x509_result no(bool out_of_memory)
{
	return ran_out_of_memory() || out_of_memory ? X509_NO_MEMORY : X509_NO;
}

bool x509_read_certificates(const char *pem, size_t length, struct certificate **list,
                            size_t capacity, size_t *ret_count, bool *ret_clean,
                            struct error *error)
{
	const char *end = pem + length;
	size_t block_length;
	size_t count = 0;
	bool clean = true;
	ERR_clear_error();
	for (const char *block; (block = next_block(&pem, end, &block_length)) != NULL;) {
		X509 *certificate = count < capacity ? read_block(block, block_length) : NULL;
		if (ran_out_of_memory()) {
			x509_certificate_free((struct certificate *)certificate);
			while (count > 0)
				x509_certificate_free(list[--count]);
			return error_set(error, "reading certificates: no memory");
		}
		if (certificate == NULL)
			clean = false;
		else
			list[count++] = (struct certificate *)certificate;
	}
	*ret_count = count;
	*ret_clean = clean;
	return true;
}

enum x509_result x509_read_key(const char *pem, size_t length, struct private_key **ret_key,
                               struct error *error)
{
	ERR_clear_error();
	BIO *bio = length > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)length);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	bool no_memory = bio == NULL && length <= INT_MAX;
	BIO_free(bio);
	if (key == NULL) {
		error_set(error, "expected a private key, PEM, not encrypted");
		return no(no_memory);
	}
	ERR_clear_error();
	*ret_key = (struct private_key *)key;
	return X509_YES;
}

/* The BIO wipes what it held. */
static bool append_bio(BIO *bio, struct buffer *out)
{
	char *text = NULL;
	long length = BIO_get_mem_data(bio, &text);
	if (length > 0)
		buffer_append(out, text, (size_t)length);
	return length > 0 && buffer_ok(out);
}

bool x509_write_certificate(const struct certificate *certificate, struct buffer *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool written = bio != NULL && PEM_write_bio_X509(bio, unwrap(certificate)) == 1 &&
	               append_bio(bio, out);
	BIO_free(bio);
	ERR_clear_error();
	return written;
}

bool x509_write_key(const struct private_key *key, struct buffer *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool written = bio != NULL &&
	               PEM_write_bio_PKCS8PrivateKey(bio, unwrap_key(key), NULL, NULL, 0,
	                                             no_password, NULL) == 1 &&
	               append_bio(bio, out);
	BIO_free(bio);
	ERR_clear_error();
	return written;
}

/* ---- Facts ---- */

bool x509_id(const struct certificate *certificate, unsigned char ret_id[X509_ID_SIZE])
{
	unsigned length = X509_ID_SIZE;
	bool done = X509_digest(unwrap(certificate), EVP_sha256(), ret_id, &length) == 1;
	ERR_clear_error();
	return done;
}

void x509_validity(const struct certificate *certificate, int64_t *ret_not_before,
                   int64_t *ret_not_after)
{
	read_time(X509_get0_notBefore(unwrap(certificate)), ret_not_before);
	read_time(X509_get0_notAfter(unwrap(certificate)), ret_not_after);
}

bool x509_is_ca(const struct certificate *certificate)
{
	uint32_t flags = X509_get_extension_flags(unwrap(certificate));
	bool is = (flags & EXFLAG_CA) != 0 && (flags & EXFLAG_INVALID) == 0 &&
	          (X509_get_key_usage(unwrap(certificate)) & KU_KEY_CERT_SIGN) != 0;
	ERR_clear_error();
	return is;
}

enum x509_result x509_key_matches(const struct certificate *certificate,
                                  const struct private_key *key)
{
	ERR_clear_error();
	if (X509_check_private_key(unwrap(certificate), unwrap_key(key)) == 1)
		return X509_YES;
	return no(false);
}

enum x509_result x509_has_names(const struct certificate *leaf, const char *const *names,
                                size_t name_count, struct error *error)
{
	ERR_clear_error();
	for (size_t i = 0; i < name_count; i++) {
		int found = X509_check_host(
		        unwrap(leaf), names[i], 0,
		        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS, NULL);
		if (found == 1)
			continue;
		error_set(error, "it is not for %s", names[i]);
		return no(found < 0);
	}
	return X509_YES;
}

/* The CA is the trust anchor, self-signed or not, as a certificate in Go's pool of roots is. */
static enum x509_result verify_chain(X509_STORE *store, X509_STORE_CTX *context, X509 *leaf,
                                     X509 *ca, int64_t now, struct error *error)
{
	error_set(error, "no memory");
	if (store == NULL || context == NULL || X509_STORE_add_cert(store, ca) != 1 ||
	    X509_STORE_CTX_init(context, store, leaf, NULL) != 1)
		return X509_NO_MEMORY;
	X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
	if (X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN) != 1 ||
	    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER) != 1)
		return X509_NO_MEMORY;
	X509_VERIFY_PARAM_set_time(parameters, (time_t)now);
	if (X509_verify_cert(context) == 1)
		return X509_YES;
	int code = X509_STORE_CTX_get_error(context);
	error_set(error, "%s", X509_verify_cert_error_string(code));
	return no(code == X509_V_ERR_OUT_OF_MEM || code == X509_V_ERR_UNSPECIFIED);
}

enum x509_result x509_verify(const struct certificate *leaf, const struct certificate *ca,
                             int64_t now, struct error *error)
{
	ERR_clear_error();
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	enum x509_result result =
	        verify_chain(store, context, unwrap(leaf), unwrap(ca), now, error);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return result;
}
