#include "lib/base/flag.h"

#include <stdint.h>

#include "lib/base/duration.h"

bool flag_text(const char *value, void *target, struct error *error)
{
	(void)error;
	*(const char **)target = value;
	return true;
}

static bool take_duration(const char *value, int64_t least, const char *expected, int64_t *target,
                          struct error *error)
{
	int64_t nanoseconds;
	if (!duration_parse(value, &nanoseconds, error))
		return false;
	if (nanoseconds < least)
		return error_set(error, "expected a duration %s, got \"%s\"", expected, value);
	*target = nanoseconds;
	return true;
}

bool flag_duration(const char *value, void *target, struct error *error)
{
	return take_duration(value, 0, "of 0 or more", target, error);
}

bool flag_span(const char *value, void *target, struct error *error)
{
	return take_duration(value, 1, "above 0", target, error);
}
