/* An observer's configuration, a NUL, and a record: the configuration is taken, or refused with a
 * reason; what it makes of the record is always JSON, and no header line has an end of line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/receiver/payload.h"
#include "observer/receiver/receiver_config.h"
#include "observer/receiver/storm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_payload(const struct receiver_settings *settings, const struct agent_exit *exit,
                          bool resolved)
{
	static const char *const parameters[RECEIVER_HEADERS_MAX] = {
	        "\"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""};
	struct buffer _cleanup_buffer_ body;
	struct buffer _cleanup_buffer_ header;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	const struct notice notices[2] = {
	        {.exit = exit,
	         .settings = settings,
	         .parameters = parameters,
	         .resolved = resolved},
	        {.exit = exit, .settings = settings, .parameters = parameters, .similar = 7}};
	size_t count = payload_batch(settings->type) > 1 ? 2 : 1;
	json *root;
	buffer_init(&body, PAYLOAD_MAX);
	buffer_init(&header, PAYLOAD_MAX);
	payload_write(notices, count, INT64_C(1795867200000000000), &body);
	if (arena != NULL && buffer_ok(&body) &&
	    json_parse(arena, buffer_text(&body), body.length, 0, &root, NULL) == JSON_INVALID)
		abort();
	for (size_t i = 0; payload_header(&notices[0], i, &header); i++)
		if (header.length != strcspn(buffer_text(&header), "\r\n"))
			abort();
	storm_keys_of(exit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct receiver_config *config;
	struct error error = {""};
	struct agent_exit exit;
	json *object;
	const char *text = (const char *)data;
	const char *zero = size == 0 ? NULL : memchr(data, 0, size);
	size_t length = zero == NULL ? size : (size_t)(zero - text);
	struct arena *_cleanup_arena_ arena = arena_new(0);
	receiver_config_is_meant(text, length);
	if (!receiver_config_parse(text, length, &config, &error)) {
		if (error.message[0] == '\0')
			abort();
		return 0;
	}
	if (zero != NULL && arena != NULL &&
	    json_parse(arena, zero + 1, size - length - 1, 0, &object, NULL) != JSON_INVALID &&
	    agent_exit_read(object, &exit, NULL) && exit.namespace != NULL)
		for (size_t i = 0; i < config->receiver_count; i++) {
			check_payload(&config->receivers[i], &exit, false);
			check_payload(&config->receivers[i], &exit, true);
		}
	receiver_config_free(config);
	return 0;
}
