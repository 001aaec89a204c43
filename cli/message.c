#include "cli/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/terminal.h"
#include "lib/base/buffer.h"

#define MESSAGE_MAX ((size_t)64 * 1024)

void message(const char *command, const char *format, ...)
{
	char text[4096];
	struct buffer _cleanup_buffer_ line;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	buffer_init(&line, MESSAGE_MAX);
	terminal_line(&line, text);
	fprintf(stderr, "lastword %s: %s\n", command, buffer_text(&line));
}

const char *warning_for_person(const char *warning)
{
	static const char prefix[] = "lastword: ";
	return strncmp(warning, prefix, sizeof prefix - 1) == 0 ? warning + sizeof prefix - 1
	                                                        : warning;
}
