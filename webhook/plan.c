#include "webhook/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/utf8.h"

const char *const part_names[PART_COUNT] = {
        [PART_TERMINATION_MESSAGE_POLICY] = "terminationMessagePolicy",
        [PART_RESOURCES] = "resources",
        [PART_COMMAND] = "command",
        [PART_PRE_STOP] = "preStop",
};

bool container_plan_is_wrapped(const struct container_plan *container)
{
	return container->parts[PART_COMMAND] == REASON_APPLIED ||
	       container->parts[PART_COMMAND] == REASON_ALREADY;
}

/* The API server cuts warnings of more than 256 characters when there are many. */
#define WARNING_SIZE 240

void plan_warn(struct arena *arena, struct plan *plan, const char *format, ...)
{
	if (plan->warnings.count >= PLAN_WARNINGS_MAX)
		return;
	if (plan->warnings.items == NULL)
		plan->warnings.items =
		        arena_allocate(arena, PLAN_WARNINGS_MAX * sizeof *plan->warnings.items);
	if (plan->warnings.items == NULL)
		return;

	char text[WARNING_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	size_t length = utf8_valid_prefix(text, strlen(text)); /* a cut may split a character */
	const char *copy = arena_copy(arena, text, length);
	if (copy != NULL)
		plan->warnings.items[plan->warnings.count++] = copy;
}
