/*
 * files: notices that files changed, as mounted ConfigMaps and Secrets do (a symbolic link is
 * swapped), or as editors and cp do. Polling: it costs a stat a second, and inotify sees no swap
 * of a link above the watched folder on every file system.
 */
#ifndef LASTWORD_LIB_BASE_FILES_H
#define LASTWORD_LIB_BASE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/error.h"

struct watched_file {
	const char *path;
	/* What was seen: device, inode, size, modification time; 0 when it was not there. */
	uint64_t seen[5];
};

/* The file is not what it was at the last call; true at the first one. */
bool watched_file_changed(struct watched_file *file);

/* Appends the whole file; error names path and cause. */
bool file_read(const char *path, struct buffer *out, struct error *error);

#endif
