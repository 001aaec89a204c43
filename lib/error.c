#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, const char *format, ...)
{
	if (error == NULL)
		return false;

	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof error->message, format, arguments);
	va_end(arguments);
	return false;
}

bool error_wrap(struct error *error, const char *format, ...)
{
	if (error == NULL)
		return false;

	char context[ERROR_MESSAGE_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(context, sizeof context, format, arguments);
	va_end(arguments);

	char inner[ERROR_MESSAGE_SIZE];
	memcpy(inner, error->message, sizeof inner);
	int written = snprintf(error->message, sizeof error->message, "%s: %s", context, inner);
	(void)written; /* A cut message is still a message. */
	return false;
}

bool error_set_errno(struct error *error, int number, const char *format, ...)
{
	if (error == NULL)
		return false;

	char what[ERROR_MESSAGE_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	return error_set(error, "%s: %s", what, strerror(number));
}
