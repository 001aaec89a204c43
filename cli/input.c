#include "cli/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buffer.h"
#include "lib/base/files.h"

bool input_read(const char *path, struct buffer *out, struct error *error)
{
	if (strcmp(path, "-") != 0)
		return file_read(path, out, error);
	char chunk[16384];
	ssize_t got;
	do {
		got = read(STDIN_FILENO, chunk, sizeof chunk);
		if (got > 0)
			buffer_append(out, chunk, (size_t)got);
	} while ((got > 0 && buffer_ok(out)) || (got < 0 && errno == EINTR));
	if (got < 0)
		return error_set_errno(error, errno, "standard input");
	return buffer_ok(out) ||
	       error_set(error, "standard input: expected at most %zu bytes", out->limit);
}
