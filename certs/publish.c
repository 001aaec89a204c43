#include "certs/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/document/json.h"
#include "lib/base/json_write.h"
#include "lib/kube/names.h"
#include "lib/base/timestamp.h"

#define ANNOTATION_SETTLED   KEY_PREFIX "settled"
#define ANNOTATION_PUBLISHED KEY_PREFIX "published"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define PEM_MAX   ((size_t)2 * 1024 * 1024) /* the API's own limit of a request is 3 MiB */
#define ID_DIGITS ((size_t)2 * X509_ID_SIZE)

/* ---- Names ---- */

/* RFC 1123: a label of at most 63, or labels with dots of at most 253. */
static bool is_dns_name(const char *text, bool label)
{
	size_t length = strlen(text);
	size_t in_label = 0;
	if (length == 0 || length > (label ? 63 : X509_NAME_MAX))
		return false;
	for (size_t i = 0; i < length; i++) {
		bool letter =
		        (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9');
		bool last = i + 1 == length || text[i + 1] == '.';
		if (text[i] == '.' && !label && in_label > 0)
			in_label = 0;
		else if (letter || (text[i] == '-' && in_label > 0 && !last))
			in_label++;
		else
			return false;
	}
	return in_label > 0;
}

static bool check_name(const char *what, const char *name, bool label, struct error *error)
{
	return is_dns_name(name, label) ||
	       error_set(error, "expected a Kubernetes name of the %s, got \"%.100s\"", what, name);
}

bool publish_names_init(struct publish_names *names, struct error *error)
{
	static const char *const suffixes[PUBLISH_NAMES] = {"", "", ".svc", ".svc.cluster.local"};
	if (!check_name("Service", names->service, true, error) ||
	    !check_name("namespace", names->namespace, true, error) ||
	    !check_name("webhook configuration", names->configuration, false, error) ||
	    !check_name("Secret", names->secret, false, error))
		return false;
	for (size_t i = 0; i < PUBLISH_NAMES; i++)
		snprintf(names->dns[i], sizeof names->dns[i], "%s%s%s%s", names->service,
		         i == 0 ? "" : ".", i == 0 ? "" : names->namespace, suffixes[i]);
	return true;
}

static void list_names(const struct publish_names *names, const char *ret_list[PUBLISH_NAMES])
{
	for (size_t i = 0; i < PUBLISH_NAMES; i++)
		ret_list[i] = names->dns[i];
}

/* ---- Reading ---- */

void publish_state_init(struct publish_state *state)
{
	*state = (struct publish_state){.view = {.signer = -1, .leaf = {.issuer = -1}}};
}

void publish_state_free(struct publish_state *state)
{
	if (state == NULL)
		return;
	for (size_t i = 0; i < state->view.authority_count; i++)
		x509_certificate_free(state->authorities[i]);
	x509_key_free(state->signer_key);
	x509_certificate_free(state->leaf);
	x509_key_free(state->leaf_key);
	publish_state_init(state);
}

static int64_t to_nanoseconds(int64_t second)
{
	return second > INT64_MAX / SECOND ? INT64_MAX : second * SECOND;
}

/* not_after is X.509's last second: the view has the moment after it. */
static void read_validity(const struct certificate *certificate, int64_t *ret_not_before,
                          int64_t *ret_not_after)
{
	int64_t first = 0;
	int64_t last = 0;
	x509_validity(certificate, &first, &last);
	*ret_not_before = to_nanoseconds(first);
	*ret_not_after = to_nanoseconds(last + 1);
}

/* The index of the authority, which the state takes over; -1: no room, and it is freed. */
static int add_authority(struct publish_state *state, struct certificate *certificate,
                         const struct rotate_id *id)
{
	struct rotate_view *view = &state->view;
	for (size_t i = 0; i < view->authority_count; i++)
		if (rotate_id_equal(&view->authorities[i].id, id)) {
			x509_certificate_free(certificate);
			return (int)i;
		}
	if (view->authority_count == ROTATE_AUTHORITIES_MAX) {
		x509_certificate_free(certificate);
		return -1;
	}
	size_t index = view->authority_count++;
	struct rotate_authority *authority = &view->authorities[index];
	*authority = (struct rotate_authority){.id = *id};
	read_validity(certificate, &authority->not_before, &authority->not_after);
	state->authorities[index] = certificate;
	return (int)index;
}

/* The authorities of a PEM text; found[i] is set for each. *ret_clean: it holds nothing else. */
static bool add_authorities(struct publish_state *state, const struct buffer *pem,
                            bool found[ROTATE_AUTHORITIES_MAX], bool *ret_clean,
                            struct error *error)
{
	struct certificate *list[ROTATE_AUTHORITIES_MAX];
	size_t count;
	bool good = true;
	if (!x509_read_certificates(buffer_text(pem), pem->length, list, ROTATE_AUTHORITIES_MAX,
	                            &count, ret_clean, error))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct rotate_id id = {{0}};
		good = good && x509_id(list[i], id.bytes);
		if (!good) {
			x509_certificate_free(list[i]);
			continue;
		}
		int index = add_authority(state, list[i], &id);
		if (index < 0)
			*ret_clean = false;
		else
			found[index] = true;
	}
	return good || error_set(error, "no memory");
}

/* Base64 of the member, decoded; a member that is not there is empty. *ret_clean: it was base64,
 * and not too long. False without memory. */
static bool decode(const json *object, const char *key, struct buffer *out, bool *ret_clean)
{
	const char *text = json_get_string_or(object, key, "");
	size_t length = strlen(text);
	buffer_clear(out);
	*ret_clean = length / 4 * 3 <= PEM_MAX && base64_decode(out, text, length);
	if (!buffer_ok(out))
		return false;
	if (!*ret_clean)
		buffer_clear(out);
	return true;
}

/* A key or leaf that cannot be read is not there; but one for which there was no memory might be.
 */
static bool read_key(const struct buffer *pem, struct private_key **ret_key, struct error *error)
{
	*ret_key = NULL;
	return pem->length == 0 ||
	       x509_read_key(buffer_text(pem), pem->length, ret_key, error) != X509_NO_MEMORY;
}

static bool read_leaf(struct publish_state *state, const json *data,
                      const struct publish_names *names, struct buffer *scratch,
                      struct error *error)
{
	const char *list[PUBLISH_NAMES];
	size_t count = 0;
	bool clean;
	bool decoded;
	struct rotate_id id;
	list_names(names, list);
	if (!decode(data, "tls.crt", scratch, &decoded) ||
	    !x509_read_certificates(buffer_text(scratch), scratch->length, &state->leaf, 1, &count,
	                            &clean, error))
		return error_set(error, "no memory");
	if (count == 0)
		return true;
	if (!decode(data, "tls.key", scratch, &decoded) ||
	    !read_key(scratch, &state->leaf_key, error) || !x509_id(state->leaf, id.bytes))
		return error_set(error, "no memory");
	state->view.leaf.id = id;
	read_validity(state->leaf, &state->view.leaf.not_before, &state->view.leaf.not_after);
	if (state->leaf_key == NULL || !clean)
		return true;
	enum x509_answer fits = x509_key_fits(state->leaf, state->leaf_key);
	if (fits == X509_YES)
		fits = x509_has_names(state->leaf, list, PUBLISH_NAMES, error);
	state->view.leaf.fits = fits == X509_YES;
	return fits != X509_NO_MEMORY || error_set(error, "no memory");
}

/* "ID" or "ID TIME"; true when it is one. */
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
	const char *settled = json_get_string(annotations, ANNOTATION_SETTLED);
	const char *published = json_get_string(annotations, ANNOTATION_PUBLISHED);
	view->has_settled = read_id(settled, &view->settled, &rest) && *rest == '\0';
	view->has_published = read_id(published, &view->published, &rest) && *rest == ' ' &&
	                      timestamp_parse(rest + 1, &view->published_at);
}

static bool read_version(const json *object, char ret_version[PUBLISH_VERSION_SIZE],
                         struct error *error)
{
	const char *version = json_string(json_find(object, "metadata", "resourceVersion", NULL));
	if (version == NULL || version[0] == '\0' || strlen(version) >= PUBLISH_VERSION_SIZE)
		return error_set(error, "expected metadata.resourceVersion");
	snprintf(ret_version, PUBLISH_VERSION_SIZE, "%s", version);
	return true;
}

static bool parse(struct arena *arena, const struct publish_object *object, const char *kind,
                  json **ret_root, struct error *error)
{
	json *root = NULL;
	if (json_parse(arena, object->text, object->length, JSON_KEEP_NUMBERS, &root, error) !=
	    JSON_FAITHFUL)
		return error_wrap(error, "%s", kind);
	if (!json_string_is(json_get(root, "kind"), kind))
		return error_set(error, "expected an object of kind %s", kind);
	*ret_root = root;
	return true;
}

/* Authorities of ca.crt first, so that they come before those that only bundles have. ca.key is
 * left in signer_key; whose key it is, is found out later. */
static bool read_secret(struct publish_state *state, struct arena *arena,
                        const struct publish_object *object, const struct publish_names *names,
                        struct buffer *scratch, struct error *error)
{
	json *root = NULL;
	bool clean;
	bool decoded;
	bool found[ROTATE_AUTHORITIES_MAX] = {false};
	if (object->presence != PUBLISH_READ)
		return true;
	if (!parse(arena, object, "Secret", &root, error) ||
	    !read_version(root, state->secret_version, error))
		return false;
	state->view.secret_exists = true;
	const json *data = json_get(root, "data");
	if (!decode(data, "ca.crt", scratch, &decoded))
		return error_set(error, "no memory");
	if (!add_authorities(state, scratch, found, &clean, error))
		return false;
	state->view.secret_untidy = !clean || !decoded;
	for (size_t i = 0; i < state->view.authority_count; i++)
		state->view.authorities[i].in_secret = found[i];
	if (!decode(data, "ca.key", scratch, &decoded) ||
	    !read_key(scratch, &state->signer_key, error))
		return error_set(error, "no memory");
	read_annotations(&state->view, root);
	return read_leaf(state, data, names, scratch, error);
}

static bool read_bundle(struct publish_state *state, const json *webhook, size_t index,
                        struct buffer *scratch,
                        bool seen[PUBLISH_WEBHOOKS_MAX][ROTATE_AUTHORITIES_MAX],
                        struct error *error)
{
	bool clean;
	bool decoded;
	if (!decode(json_get(webhook, "clientConfig"), "caBundle", scratch, &decoded))
		return error_set(error, "no memory");
	if (!add_authorities(state, scratch, seen[index], &clean, error))
		return false;
	for (size_t i = 0; i < state->view.authority_count; i++)
		state->view.authorities[i].bundles += seen[index][i];
	state->right[index] = clean && decoded;
	state->view.bundles_untidy = state->view.bundles_untidy || !clean || !decoded;
	return true;
}

static bool read_configuration(struct publish_state *state, struct arena *arena,
                               const struct publish_object *object, struct buffer *scratch,
                               struct error *error)
{
	json *root = NULL;
	bool seen[PUBLISH_WEBHOOKS_MAX][ROTATE_AUTHORITIES_MAX] = {{false}};
	if (object->presence != PUBLISH_READ) {
		state->view.bundles = object->presence == PUBLISH_ABSENT ? ROTATE_BUNDLES_ABSENT
		                                                         : ROTATE_BUNDLES_UNKNOWN;
		return true;
	}
	if (!parse(arena, object, "MutatingWebhookConfiguration", &root, error) ||
	    !read_version(root, state->configuration_version, error))
		return false;
	const json *webhooks = json_get(root, "webhooks");
	size_t count = json_size(webhooks);
	if (count > PUBLISH_WEBHOOKS_MAX)
		return error_set(error, "expected at most %d webhooks in the configuration",
		                 PUBLISH_WEBHOOKS_MAX);
	state->webhook_count = count;
	state->view.bundle_count = (unsigned)count;
	state->view.bundles = count == 0 ? ROTATE_BUNDLES_ABSENT : ROTATE_BUNDLES_READ;
	size_t index = 0;
	for (const json *webhook = json_first(webhooks); webhook != NULL;
	     webhook = json_next(webhook))
		if (!read_bundle(state, webhook, index++, scratch, seen, error))
			return false;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < state->view.authority_count; j++)
			if (seen[i][j] != state->view.authorities[j].in_secret)
				state->right[i] = false;
	return true;
}

/* ---- Who signed, and who may sign ---- */

/* At a moment when both were valid: whether they are now is rotate's question. */
static enum x509_answer is_issued_by(const struct publish_state *state, size_t index)
{
	const struct rotate_authority *authority = &state->view.authorities[index];
	int64_t moment = state->view.leaf.not_before > authority->not_before
	                         ? state->view.leaf.not_before
	                         : authority->not_before;
	if (!x509_is_authority(state->authorities[index]))
		return X509_NO;
	return x509_verify(state->leaf, state->authorities[index], moment / SECOND, NULL);
}

static bool find_issuer(struct publish_state *state, struct error *error)
{
	state->view.leaf.issuer = -1;
	for (size_t i = 0; state->leaf != NULL && i < state->view.authority_count; i++) {
		enum x509_answer response = is_issued_by(state, i);
		if (response == X509_NO_MEMORY)
			return error_set(error, "no memory");
		if (response == X509_YES) {
			state->view.leaf.issuer = (int)i;
			break;
		}
	}
	return true;
}

/* A leaf on trial: an authority that somebody else made may have constraints (names, path length,
 * usages) under which no client takes what it signs. */
static enum x509_answer can_sign(const struct publish_state *state, size_t index,
                                 const struct publish_names *names, int64_t now,
                                 const unsigned char serial[X509_SERIAL_SIZE])
{
	struct certificate *_cleanup_certificate_ leaf = NULL;
	struct private_key *_cleanup_key_ key = NULL;
	const char *list[PUBLISH_NAMES];
	list_names(names, list);
	const struct rotate_authority *authority = &state->view.authorities[index];
	int64_t moment = now;
	if (moment < authority->not_before)
		moment = authority->not_before;
	/* For OpenSSL the last second is over already. */
	if (moment > authority->not_after - 2 * SECOND)
		moment = authority->not_after - 2 * SECOND;
	struct x509_profile profile = {.common_name = names->service,
	                               .names = list,
	                               .name_count = PUBLISH_NAMES,
	                               .not_before = moment / SECOND,
	                               .not_after = moment / SECOND + 60};
	memcpy(profile.serial, serial, sizeof profile.serial);
	if (!x509_make_leaf(&profile, state->authorities[index], state->signer_key, &leaf, &key,
	                    NULL))
		return X509_NO_MEMORY;
	return x509_verify(leaf, state->authorities[index], moment / SECOND, NULL);
}

/* Is this one better than the signer found so far? That of ca.crt, then the one that lasts. */
static bool is_preferred(const struct rotate_view *view, size_t index)
{
	const struct rotate_authority *candidate = &view->authorities[index];
	if (view->signer < 0)
		return true;
	const struct rotate_authority *signer = &view->authorities[view->signer];
	if (candidate->in_secret != signer->in_secret)
		return candidate->in_secret;
	return candidate->not_after > signer->not_after;
}

static bool find_signer(struct publish_state *state, const struct publish_names *names, int64_t now,
                        const unsigned char serial[X509_SERIAL_SIZE], struct error *error)
{
	struct rotate_view *view = &state->view;
	view->signer = -1;
	for (size_t i = 0; state->signer_key != NULL && i < view->authority_count; i++) {
		if (!is_preferred(view, i) || !x509_is_authority(state->authorities[i]))
			continue;
		enum x509_answer response = x509_key_fits(state->authorities[i], state->signer_key);
		if (response == X509_YES && view->leaf.issuer != (int)i)
			response = can_sign(state, i, names, now, serial);
		if (response == X509_NO_MEMORY)
			return error_set(error, "no memory");
		if (response == X509_YES)
			view->signer = (int)i;
	}
	return true;
}

bool publish_read(const struct publish_object *secret, const struct publish_object *configuration,
                  const struct publish_names *names, int64_t now,
                  const unsigned char serial[X509_SERIAL_SIZE], struct publish_state *ret_state,
                  struct error *error)
{
	struct arena *_cleanup_arena_ arena = arena_new_secret(ARENA_MAX);
	struct buffer _cleanup_buffer_ scratch;
	struct publish_state state;
	publish_state_init(&state);
	publish_state_init(ret_state);
	buffer_init_secret(&scratch, PEM_MAX);
	if (arena == NULL)
		return error_set(error, "no memory");
	if (!read_secret(&state, arena, secret, names, &scratch, error) ||
	    !read_configuration(&state, arena, configuration, &scratch, error) ||
	    !find_issuer(&state, error) || !find_signer(&state, names, now, serial, error)) {
		publish_state_free(&state);
		return false;
	}
	*ret_state = state;
	return true;
}

bool publish_leaf(const struct publish_state *state, struct buffer *chain, struct buffer *key,
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

/* Base64 of PEM as a string of JSON. */
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

/* The certificates and keys of a new Secret's content; NULL: as it is. */
struct content {
	struct certificate *authority;
	struct private_key *authority_key;
	struct certificate *leaf;
	struct private_key *leaf_key;
};

static void content_free(struct content *content)
{
	x509_certificate_free(content->authority);
	x509_key_free(content->authority_key);
	x509_certificate_free(content->leaf);
	x509_key_free(content->leaf_key);
}

static bool make_authority(struct content *content, const struct rotate_policy *policy, int64_t now,
                           const unsigned char serial[X509_SERIAL_SIZE], struct error *error)
{
	char name[64];
	int64_t first;
	int64_t last;
	rotate_validity(now, policy->authority_lifetime, INT64_MAX, &first, &last);
	struct x509_profile profile = {
	        .common_name = name, .not_before = first / SECOND, .not_after = last / SECOND};
	memcpy(profile.serial, serial, sizeof profile.serial);
	/* Names of their own, so that clients need not tell them apart by key. */
	snprintf(name, sizeof name, "lastword authority %02x%02x%02x%02x", serial[0], serial[1],
	         serial[2], serial[3]);
	return x509_make_authority(&profile, &content->authority, &content->authority_key, error);
}

static bool make_leaf(struct content *content, const struct publish_state *state,
                      const struct publish_names *names, const struct rotate_policy *policy,
                      int64_t now, const unsigned char serial[X509_SERIAL_SIZE],
                      struct error *error)
{
	const char *list[PUBLISH_NAMES];
	int64_t first;
	int64_t last;
	bool own = content->authority != NULL;
	list_names(names, list);
	rotate_validity(now, policy->leaf_lifetime,
	                own ? INT64_MAX : state->view.authorities[state->view.signer].not_after,
	                &first, &last);
	struct x509_profile profile = {.common_name = names->service,
	                               .names = list,
	                               .name_count = PUBLISH_NAMES,
	                               .not_before = first / SECOND,
	                               .not_after = last / SECOND};
	memcpy(profile.serial, serial, sizeof profile.serial);
	return x509_make_leaf(&profile,
	                      own ? content->authority : state->authorities[state->view.signer],
	                      own ? content->authority_key : state->signer_key, &content->leaf,
	                      &content->leaf_key, error);
}

static void write_metadata(struct json_writer *writer, const struct publish_state *state,
                           const struct rotate_plan *plan, const struct publish_names *names,
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
		json_write_member(writer, ANNOTATION_SETTLED, buffer_text(&text));
	}
	if (plan->stamp == ROTATE_STAMP_NOW) {
		/* Microseconds, and never before the moment that is meant. */
		timestamp_print(now + 1000, time);
		buffer_clear(&text);
		print_id(&text, signer_id);
		buffer_printf(&text, " %s", time);
		json_write_member(writer, ANNOTATION_PUBLISHED, buffer_text(&text));
	} else if (state->view.secret_exists &&
	           (plan->stamp == ROTATE_STAMP_CLEAR || plan->new_leaf)) {
		json_write_key(writer, ANNOTATION_PUBLISHED);
		json_write_null(writer);
	}
	json_write_object_end(writer);
	json_write_object_end(writer);
	if (!buffer_ok(&text))
		writer->out->failed = true;
}

static bool print_authorities(const struct publish_state *state, const struct rotate_plan *plan,
                              const struct certificate *new_authority, struct buffer *out)
{
	bool good = new_authority == NULL || x509_write_certificate(new_authority, out);
	for (size_t i = 0; i < state->view.authority_count; i++)
		if (plan == NULL ? state->view.authorities[i].in_secret : plan->keep[i])
			good = good && x509_write_certificate(state->authorities[i], out);
	return good;
}

static bool write_contents(struct json_writer *writer, const struct publish_state *state,
                           const struct rotate_plan *plan, const struct content *content)
{
	struct buffer _cleanup_buffer_ pem;
	bool creating = !state->view.secret_exists;
	bool good = true;
	buffer_init_secret(&pem, PEM_MAX);
	json_write_key(writer, "data");
	json_write_object_begin(writer);
	if (plan->new_authority || plan->new_leaf || plan->stamp == ROTATE_STAMP_KEEP) {
		good = print_authorities(state, plan, content->authority, &pem);
		write_data(writer, "ca.crt", &pem);
		buffer_clear(&pem);
	}
	if (plan->new_authority) {
		good = good && x509_write_key(content->authority_key, &pem);
		write_data(writer, "ca.key", &pem);
		buffer_clear(&pem);
	}
	/* The type wants both keys; empty ones mean that there is none yet. */
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

static bool write_secret(const struct publish_state *state, const struct rotate_plan *plan,
                         const struct publish_names *names, const struct content *content,
                         int64_t now, struct buffer *body, struct error *error)
{
	struct json_writer writer;
	unsigned char signer_id[X509_ID_SIZE];
	if (content->authority != NULL) {
		if (!x509_id(content->authority, signer_id))
			return error_set(error, "no memory");
	} else {
		memcpy(signer_id, state->view.authorities[state->view.signer].id.bytes,
		       sizeof signer_id);
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

bool publish_write_secret(const struct publish_state *state, const struct rotate_plan *plan,
                          const struct publish_names *names, const struct rotate_policy *policy,
                          int64_t now, unsigned char serials[2][X509_SERIAL_SIZE],
                          struct buffer *body, struct error *error)
{
	struct content content = {NULL, NULL, NULL, NULL};
	bool written = (!plan->new_authority ||
	                make_authority(&content, policy, now, serials[0], error)) &&
	               (!plan->new_leaf ||
	                make_leaf(&content, state, names, policy, now, serials[1], error)) &&
	               write_secret(state, plan, names, &content, now, body, error);
	content_free(&content);
	return written;
}

bool publish_write_bundles(const struct publish_state *state, struct buffer *body,
                           struct error *error)
{
	struct buffer _cleanup_buffer_ pem;
	struct buffer _cleanup_buffer_ text;
	struct json_writer writer;
	char pointer[64];
	buffer_init(&pem, PEM_MAX);
	buffer_init(&text, 2 * PEM_MAX);
	bool good = print_authorities(state, NULL, NULL, &pem);
	base64_encode(&text, buffer_text(&pem), pem.length);
	json_writer_init(&writer, body);
	json_write_array_begin(&writer);
	json_write_object_begin(&writer);
	json_write_member(&writer, "op", "test");
	json_write_member(&writer, "path", "/metadata/resourceVersion");
	json_write_member(&writer, "value", state->configuration_version);
	json_write_object_end(&writer);
	for (size_t i = 0; i < state->webhook_count; i++) {
		if (state->right[i])
			continue;
		snprintf(pointer, sizeof pointer, "/webhooks/%zu/clientConfig/caBundle", i);
		json_write_object_begin(&writer);
		json_write_member(&writer, "op", "add"); /* which replaces what is there */
		json_write_member(&writer, "path", pointer);
		json_write_member(&writer, "value", buffer_text(&text));
		json_write_object_end(&writer);
	}
	json_write_array_end(&writer);
	return (good && buffer_ok(&pem) && buffer_ok(&text) && buffer_ok(body)) ||
	       error_set(error, "no memory for the patch");
}
