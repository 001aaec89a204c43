#include "watchdog/stderr_log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a pipe that poll(2) calls writable takes without waiting: less than PIPE_BUF (pipe(7)). */
#define LINE_SIZE 1024

/* For a reader of stderr that is slow; milliseconds. */
#define STUCK_WAIT 100

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
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
	/* Where poll(2) fails writing is tried all the same. */
	if (poll(&ready, 1, STUCK_WAIT) == 0 || write(STDERR_FILENO, line, used) < 0)
		errno = saved; /* nowhere is left to log it */
}

void stderr_log(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments, NULL);
	va_end(arguments);
}

void stderr_log_errno(int number, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments, strerror(number));
	va_end(arguments);
}
