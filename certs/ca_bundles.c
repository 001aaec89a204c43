#include "certs/ca_bundles.h"

#include <stdio.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/json_write.h"

static bool read_bundle(struct certificate_state *state, const json *webhook, size_t index,
                        struct buffer *scratch, bool seen[CA_BUNDLES_MAX][ROTATE_CAS_MAX],
                        struct error *error)
{
	bool clean;
	bool decoded;
	if (!api_object_decode(json_get(webhook, "clientConfig"), "caBundle", scratch, &decoded))
		return error_set(error, "no memory");
	if (!certificate_state_add_cas(state, scratch, seen[index], &clean, error))
		return false;
	for (size_t i = 0; i < state->view.ca_count; i++)
		state->view.cas[i].bundles += seen[index][i];
	state->right[index] = clean && decoded;
	state->view.bundles_malformed = state->view.bundles_malformed || !clean || !decoded;
	return true;
}

bool ca_bundles_read(struct certificate_state *state, struct arena *arena,
                     const struct api_object *object, struct buffer *scratch, struct error *error)
{
	json *root = NULL;
	bool seen[CA_BUNDLES_MAX][ROTATE_CAS_MAX] = {{false}};
	if (object->presence != API_OBJECT_READ) {
		state->view.bundles = object->presence == API_OBJECT_ABSENT
		                              ? ROTATE_BUNDLES_ABSENT
		                              : ROTATE_BUNDLES_UNKNOWN;
		return true;
	}
	if (!api_object_parse(arena, object, "MutatingWebhookConfiguration", &root, error) ||
	    !api_object_version(root, state->configuration_version, error))
		return false;
	const json *webhooks = json_get(root, "webhooks");
	size_t count = json_size(webhooks);
	if (count > CA_BUNDLES_MAX)
		return error_set(error, "expected at most %d webhooks in the configuration",
		                 CA_BUNDLES_MAX);
	state->webhook_count = count;
	state->view.bundle_count = (unsigned)count;
	state->view.bundles = count == 0 ? ROTATE_BUNDLES_ABSENT : ROTATE_BUNDLES_READ;
	size_t index = 0;
	for (const json *webhook = json_first(webhooks); webhook != NULL;
	     webhook = json_next(webhook))
		if (!read_bundle(state, webhook, index++, scratch, seen, error))
			return false;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < state->view.ca_count; j++)
			if (seen[i][j] != state->view.cas[j].in_secret)
				state->right[i] = false;
	return true;
}

bool ca_bundles_write(const struct certificate_state *state, struct buffer *body,
                      struct error *error)
{
	struct buffer _cleanup_buffer_ pem;
	struct buffer _cleanup_buffer_ text;
	struct json_writer writer;
	char pointer[64];
	buffer_init(&pem, PEM_MAX);
	buffer_init(&text, 2 * PEM_MAX);
	bool good = certificate_state_write_cas(state, NULL, &pem);
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
		json_write_member(&writer, "op", "add"); /* of RFC 6902: replaces what is there */
		json_write_member(&writer, "path", pointer);
		json_write_member(&writer, "value", buffer_text(&text));
		json_write_object_end(&writer);
	}
	json_write_array_end(&writer);
	return (good && buffer_ok(&pem) && buffer_ok(&text) && buffer_ok(body)) ||
	       error_set(error, "no memory for the patch");
}
