/* Secret and configuration as anybody may have left them: whatever the bytes, there is a next step,
 * and it can be carried out. Two JSON texts, split at the first NUL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "certs/ca_bundles.h"
#include "certs/read_state.h"
#include "certs/secret.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rotate_policy policy = {
        .leaf_lifetime = 60 * SECOND, .ca_lifetime = 120 * SECOND, .propagation_delay = 5 * SECOND};

static void write_plan(const struct certificate_state *state, const struct certificate_names *names,
                       const struct rotate_plan *plan, int64_t now)
{
	unsigned char serials[2][X509_SERIAL_SIZE] = {{1}, {2}};
	struct buffer _cleanup_buffer_ body;
	struct error error;
	buffer_init_secret(&body, (size_t)16 * 1024 * 1024);
	if (plan->step == ROTATE_WRITE_SECRET &&
	    !secret_write(state, plan, names, &policy, now, serials, &body, &error))
		abort();
	if (plan->step == ROTATE_WRITE_BUNDLES && !ca_bundles_write(state, &body, &error))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t now = INT64_C(1800000000) * SECOND;
	const unsigned char serial[X509_SERIAL_SIZE] = {3};
	const uint8_t *split = size == 0 ? NULL : memchr(data, '\0', size);
	struct api_object secret = {.presence = API_OBJECT_READ, .text = (const char *)data};
	struct api_object configuration = {.presence = API_OBJECT_ABSENT};
	struct certificate_names names = {
	        .service = "s", .namespace = "n", .configuration = "c", .secret = "t"};
	struct certificate_state _cleanup_certificate_state_ state;
	struct rotate_plan plan;
	certificate_state_init(&state);
	if (!certificate_names_init(&names, NULL))
		abort();
	secret.length = split == NULL ? size : (size_t)(split - data);
	if (split != NULL) {
		configuration.presence = API_OBJECT_READ;
		configuration.text = (const char *)split + 1;
		configuration.length = size - secret.length - 1;
	}
	if (secret.length == 0)
		secret.presence = API_OBJECT_ABSENT;
	if (!certificate_state_read(&secret, &configuration, &names, now, serial, &state, NULL))
		return 0;
	rotate_decide(&state.view, &policy, now, &plan);
	write_plan(&state, &names, &plan, now);
	return 0;
}
