#include "cli/color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buffer.h"

static const char *const escapes[] = {
        [COLOR_NONE] = "",         [COLOR_ALARM] = "\x1b[1;31m", [COLOR_WARNING] = "\x1b[33m",
        [COLOR_GOOD] = "\x1b[32m", [COLOR_TITLE] = "\x1b[1m",    [COLOR_DONE] = "\x1b[2m",
};

bool color_is_wanted(enum color_when when)
{
	const char *refused = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");
	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return isatty(STDOUT_FILENO) == 1 && (refused == NULL || refused[0] == '\0') &&
	       terminal != NULL && terminal[0] != '\0' && strcmp(terminal, "dumb") != 0;
}

void color_begin(struct buffer *out, enum color color)
{
	buffer_append_text(out, escapes[color]);
}

void color_end(struct buffer *out, enum color color)
{
	buffer_append_text(out, color == COLOR_NONE ? "" : "\x1b[0m");
}
