/* Any bytes as the breaker's ConfigMap and as the document in it: what is read keeps its bounds,
 * and is the same when it was written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/kube/breaker_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct breaker_state *state)
{
	struct buffer _cleanup_buffer_ text;
	struct buffer _cleanup_buffer_ again_text;
	struct breaker_state _cleanup_breaker_state_ again = {0};
	struct error error;
	buffer_init(&text, 4 << 20);
	buffer_init(&again_text, 4 << 20);
	if (state->count > BREAKER_ENTRIES_MAX)
		abort();
	for (size_t i = 1; i < state->count; i++)
		if (strcmp(state->entries[i - 1].namespace, state->entries[i].namespace) >= 0)
			abort();
	breaker_state_write(state, &text);
	if (!buffer_ok(&text) ||
	    !breaker_state_parse(buffer_text(&text), text.length, &again, &error))
		abort();
	breaker_state_write(&again, &again_text);
	if (again.count != state->count ||
	    strcmp(buffer_text(&text), buffer_text(&again_text)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct breaker_state _cleanup_breaker_state_ state = {0};
	struct breaker_state _cleanup_breaker_state_ document = {0};
	char version[BREAKER_VERSION_SIZE];
	struct error error;
	if (breaker_config_map_parse((const char *)data, size, &state, version, &error))
		check(&state);
	if (breaker_state_parse((const char *)data, size, &document, &error))
		check(&document);
	return 0;
}
