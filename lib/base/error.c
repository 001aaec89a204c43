#include "lib/base/error.h"

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

	/* The context in front; what no longer fits at the end is cut. */
	size_t length = strlen(context);
	if (length + 2 >= sizeof context)
		length = sizeof context - 3;
	memmove(error->message + length + 2, error->message, sizeof error->message - length - 2);
	memcpy(error->message, context, length);
	memcpy(error->message + length, ": ", 2);
	error->message[sizeof error->message - 1] = '\0';
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
