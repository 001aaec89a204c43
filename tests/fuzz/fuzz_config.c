/* A configuration: taken, or refused with a place and a reason. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "webhook/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config;
	struct error error = {""};
	if (config_parse((const char *)data, size, &config, &error))
		config_free(config);
	else if (error.message[0] == '\0')
		abort();
	return 0;
}
