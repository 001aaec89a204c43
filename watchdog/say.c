#include "watchdog/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 1024

static void put(const char *format, va_list arguments, const char *reason)
{
	static const char prefix[] = "lastword: ";
	char line[LINE_SIZE];
	memcpy(line, prefix, sizeof prefix);
	size_t used = sizeof prefix - 1;
	size_t room = sizeof line - used - 1; /* the line end has its place */
	int wanted = vsnprintf(line + used, room, format, arguments);
	used += wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1;
	if (reason != NULL) {
		room = sizeof line - used - 1;
		wanted = snprintf(line + used, room, ": %s", reason);
		used += wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1;
	}
	line[used++] = '\n';
	int saved = errno;
	if (write(STDERR_FILENO, line, used) < 0)
		errno = saved; /* nobody is left to be told */
}

void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments, NULL);
	va_end(arguments);
}

void say_errno(int number, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments, strerror(number));
	va_end(arguments);
}
