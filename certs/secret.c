#include "certs/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"
#include "lib/kube/names.h"

#define ANNOTATION_SERVING_CA KEY_PREFIX "serving-ca"
#define ANNOTATION_NEXT_CA    KEY_PREFIX "next-ca"

#define ID_DIGITS ((size_t)2 * X509_ID_SIZE)

/* ---- Reading ---- */

/* A key that cannot be read counts as missing (NULL). False when memory is short: then it may be
 * good. */
static bool read_key(const struct buffer *pem, struct private_key **ret_key, struct error *error)
{
	*ret_key = NULL;
	return pem->length == 0 ||
	       x509_read_key(buffer_text(pem), pem->length, ret_key, error) != X509_NO_MEMORY;
}

static bool read_leaf(struct certificate_state *state, const json *data,
                      const struct certificate_names *names, struct buffer *scratch,
                      struct error *error)
{
	const char *list[CERTIFICATE_NAMES];
	size_t count = 0;
	bool clean;
	bool decoded;
	struct rotate_id id;
	certificate_names_list(names, list);
	if (!api_object_decode(data, "tls.crt", scratch, &decoded) ||
	    !x509_read_certificates(buffer_text(scratch), scratch->length, &state->leaf, 1, &count,
	                            &clean, error))
		return error_set(error, "no memory");
	if (count == 0)
		return true;
	if (!api_object_decode(data, "tls.key", scratch, &decoded) ||
	    !read_key(scratch, &state->leaf_key, error) || !x509_id(state->leaf, id.bytes))
		return error_set(error, "no memory");
	state->view.leaf.id = id;
	certificate_validity(state->leaf, &state->view.leaf.not_before,
	                     &state->view.leaf.not_after);
	if (state->leaf_key == NULL || !clean)
		return true;
	enum x509_result matches = x509_key_matches(state->leaf, state->leaf_key);
	if (matches == X509_YES)
		matches = x509_has_names(state->leaf, list, CERTIFICATE_NAMES, error);
	state->view.leaf.usable = matches == X509_YES;
	return matches != X509_NO_MEMORY || error_set(error, "no memory");
}

/* Reads the ID that "ID" and "ID TIME" begin with. */
static bool read_id(const char *text, struct rotate_id *ret_id, const char **ret_rest)
{
	struct rotate_id id;
	if (text == NULL || strspn(text, "0123456789abcdef") != ID_DIGITS)
		return false;
	for (size_t i = 0; i < sizeof id.bytes; i++) {
		const char digits[3] = {text[0], text[1], '\0'};
		id.bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
		text += 2;
	}
	*ret_id = id;
	*ret_rest = text;
	return true;
}

static void read_annotations(struct rotate_view *view, const json *secret)
{
	const char *rest;
	const json *annotations = json_find(secret, "metadata", "annotations", NULL);
	const char *serving_ca = json_get_string(annotations, ANNOTATION_SERVING_CA);
	const char *next_ca = json_get_string(annotations, ANNOTATION_NEXT_CA);
	view->has_serving_ca = read_id(serving_ca, &view->serving_ca, &rest) && *rest == '\0';
	view->has_next_ca = read_id(next_ca, &view->next_ca, &rest) && *rest == ' ' &&
	                    timestamp_parse(rest + 1, &view->next_ca_published_at);
}

bool secret_read(struct certificate_state *state, struct arena *arena,
                 const struct api_object *object, const struct certificate_names *names,
                 struct buffer *scratch, struct error *error)
{
	json *root = NULL;
	bool clean;
	bool decoded;
	bool found[ROTATE_CAS_MAX] = {false};
	if (object->presence != API_OBJECT_READ)
		return true;
	if (!api_object_parse(arena, object, "Secret", &root, error) ||
	    !api_object_version(root, state->secret_version, error))
		return false;
	state->view.secret_exists = true;
	const json *data = json_get(root, "data");
	if (!api_object_decode(data, "ca.crt", scratch, &decoded))
		return error_set(error, "no memory");
	if (!certificate_state_add_cas(state, scratch, found, &clean, error))
		return false;
	state->view.secret_malformed = !clean || !decoded;
	for (size_t i = 0; i < state->view.ca_count; i++)
		state->view.cas[i].in_secret = found[i];
	if (!api_object_decode(data, "ca.key", scratch, &decoded) ||
	    !read_key(scratch, &state->signer_key, error))
		return error_set(error, "no memory");
	read_annotations(&state->view, root);
	return read_leaf(state, data, names, scratch, error);
}

bool secret_leaf(const struct certificate_state *state, struct buffer *chain, struct buffer *key,
                 struct error *error)
{
	return (state->leaf != NULL && state->leaf_key != NULL &&
	        x509_write_certificate(state->leaf, chain) &&
	        x509_write_key(state->leaf_key, key)) ||
	       error_set(error, "no memory for a certificate");
}

/* ---- Writing ---- */

static void print_id(struct buffer *out, const unsigned char id[X509_ID_SIZE])
{
	for (size_t i = 0; i < X509_ID_SIZE; i++)
		buffer_printf(out, "%02x", id[i]);
}

/* Writes PEM as a JSON string of base64. */
static void write_data(struct json_writer *writer, const char *key, const struct buffer *pem)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init_secret(&text, 2 * PEM_MAX);
	base64_encode(&text, buffer_text(pem), pem->length);
	json_write_key(writer, key);
	json_write_string(writer, buffer_text(&text));
	if (!buffer_ok(&text) || !buffer_ok(pem))
		writer->out->failed = true;
}

/* New certificates and keys for the Secret; NULL: what it has stays. */
struct content {
	struct certificate *ca;
	struct private_key *ca_key;
	struct certificate *leaf;
	struct private_key *leaf_key;
};

static void content_free(struct content *content)
{
	x509_certificate_free(content->ca);
	x509_key_free(content->ca_key);
	x509_certificate_free(content->leaf);
	x509_key_free(content->leaf_key);
}

static bool make_ca(struct content *content, const struct rotate_policy *policy, int64_t now,
                    const unsigned char serial[X509_SERIAL_SIZE], struct error *error)
{
	char name[64];
	int64_t first;
	int64_t last;
	rotate_validity(now, policy->ca_lifetime, INT64_MAX, &first, &last);
	struct x509_profile profile = {
	        .common_name = name, .not_before = first / SECOND, .not_after = last / SECOND};
	memcpy(profile.serial, serial, sizeof profile.serial);
	/* Each CA has a subject of its own, so that clients need not compare keys. */
	snprintf(name, sizeof name, "lastword CA %02x%02x%02x%02x", serial[0], serial[1], serial[2],
	         serial[3]);
	return x509_make_ca(&profile, &content->ca, &content->ca_key, error);
}

static bool make_leaf(struct content *content, const struct certificate_state *state,
                      const struct certificate_names *names, const struct rotate_policy *policy,
                      int64_t now, const unsigned char serial[X509_SERIAL_SIZE],
                      struct error *error)
{
	const char *list[CERTIFICATE_NAMES];
	int64_t first;
	int64_t last;
	bool own = content->ca != NULL;
	certificate_names_list(names, list);
	rotate_validity(now, policy->leaf_lifetime,
	                own ? INT64_MAX : state->view.cas[state->view.signer].not_after, &first,
	                &last);
	struct x509_profile profile = {.common_name = names->service,
	                               .names = list,
	                               .name_count = CERTIFICATE_NAMES,
	                               .not_before = first / SECOND,
	                               .not_after = last / SECOND};
	memcpy(profile.serial, serial, sizeof profile.serial);
	return x509_make_leaf(&profile, own ? content->ca : state->cas[state->view.signer],
	                      own ? content->ca_key : state->signer_key, &content->leaf,
	                      &content->leaf_key, error);
}

static void write_metadata(struct json_writer *writer, const struct certificate_state *state,
                           const struct rotate_plan *plan, const struct certificate_names *names,
                           const unsigned char *signer_id, int64_t now)
{
	struct buffer _cleanup_buffer_ text;
	char time[TIMESTAMP_SIZE];
	buffer_init(&text, 256);
	json_write_key(writer, "metadata");
	json_write_object_begin(writer);
	json_write_member(writer, "name", names->secret);
	json_write_member(writer, "namespace", names->namespace);
	if (state->view.secret_exists)
		json_write_member(writer, "resourceVersion", state->secret_version);
	json_write_key(writer, "annotations");
	json_write_object_begin(writer);
	if (plan->new_leaf) {
		print_id(&text, signer_id);
		json_write_member(writer, ANNOTATION_SERVING_CA, buffer_text(&text));
	}
	if (plan->next_ca == ROTATE_NEXT_CA_SET) {
		/* The text has microseconds; it must not be earlier than now. */
		timestamp_print(now + 1000, time);
		buffer_clear(&text);
		print_id(&text, signer_id);
		buffer_printf(&text, " %s", time);
		json_write_member(writer, ANNOTATION_NEXT_CA, buffer_text(&text));
	} else if (state->view.secret_exists &&
	           (plan->next_ca == ROTATE_NEXT_CA_CLEAR || plan->new_leaf)) {
		json_write_key(writer, ANNOTATION_NEXT_CA);
		json_write_null(writer);
	}
	json_write_object_end(writer);
	json_write_object_end(writer);
	if (!buffer_ok(&text))
		writer->out->failed = true;
}

static bool write_contents(struct json_writer *writer, const struct certificate_state *state,
                           const struct rotate_plan *plan, const struct content *content)
{
	struct buffer _cleanup_buffer_ pem;
	bool creating = !state->view.secret_exists;
	bool good = true;
	buffer_init_secret(&pem, PEM_MAX);
	json_write_key(writer, "data");
	json_write_object_begin(writer);
	if (plan->new_ca || plan->new_leaf || plan->next_ca == ROTATE_NEXT_CA_KEEP) {
		good = content->ca == NULL || x509_write_certificate(content->ca, &pem);
		good = good && certificate_state_write_cas(state, plan->keep, &pem);
		write_data(writer, "ca.crt", &pem);
		buffer_clear(&pem);
	}
	if (plan->new_ca) {
		good = good && x509_write_key(content->ca_key, &pem);
		write_data(writer, "ca.key", &pem);
		buffer_clear(&pem);
	}
	/* The type kubernetes.io/tls requires both keys; empty values: no leaf yet. */
	if (plan->new_leaf || creating) {
		good = good && (!plan->new_leaf || x509_write_certificate(content->leaf, &pem));
		write_data(writer, "tls.crt", &pem);
		buffer_clear(&pem);
		good = good && (!plan->new_leaf || x509_write_key(content->leaf_key, &pem));
		write_data(writer, "tls.key", &pem);
	}
	json_write_object_end(writer);
	return good;
}

static bool write_secret(const struct certificate_state *state, const struct rotate_plan *plan,
                         const struct certificate_names *names, const struct content *content,
                         int64_t now, struct buffer *body, struct error *error)
{
	struct json_writer writer;
	unsigned char signer_id[X509_ID_SIZE];
	if (content->ca != NULL) {
		if (!x509_id(content->ca, signer_id))
			return error_set(error, "no memory");
	} else {
		memcpy(signer_id, state->view.cas[state->view.signer].id.bytes, sizeof signer_id);
	}
	json_writer_init(&writer, body);
	json_write_object_begin(&writer);
	if (!state->view.secret_exists) {
		json_write_member(&writer, "apiVersion", "v1");
		json_write_member(&writer, "kind", "Secret");
		json_write_member(&writer, "type", "kubernetes.io/tls");
	}
	write_metadata(&writer, state, plan, names, signer_id, now);
	bool good = write_contents(&writer, state, plan, content);
	json_write_object_end(&writer);
	return (good && buffer_ok(body)) || error_set(error, "no memory for the Secret");
}

bool secret_write(const struct certificate_state *state, const struct rotate_plan *plan,
                  const struct certificate_names *names, const struct rotate_policy *policy,
                  int64_t now, unsigned char serials[2][X509_SERIAL_SIZE], struct buffer *body,
                  struct error *error)
{
	struct content content = {NULL, NULL, NULL, NULL};
	bool written = (!plan->new_ca || make_ca(&content, policy, now, serials[0], error)) &&
	               (!plan->new_leaf ||
	                make_leaf(&content, state, names, policy, now, serials[1], error)) &&
	               write_secret(state, plan, names, &content, now, body, error);
	content_free(&content);
	return written;
}
