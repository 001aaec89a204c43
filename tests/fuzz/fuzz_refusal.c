/* Any bytes as the message of a FailedCreate Event: it is read to its end, and what names neither
 * our containers nor an amount is not about us. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "observer/guard/refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sidecar_amount amounts[] = {{"cpu", "25m", "50m"},
	                                                {"memory", "16Mi", NULL}};
	char *message = strndup((const char *)data, size);
	if (message == NULL)
		return 0;
	bool ours = refusal_is_ours(message, NULL, 0);
	if (ours && strstr(message, "lastword-") == NULL)
		abort();
	if (ours && strlen(message) >= REFUSAL_MESSAGE_MAX)
		abort();
	refusal_is_ours(message, amounts, 2);
	free(message);
	return 0;
}
