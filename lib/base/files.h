/*
 * files: notices that a file has changed, also in a mounted ConfigMap or Secret, where the kubelet
 * swaps a symbolic link above it. By polling: a stat(2) a second is cheap, and inotify does not
 * notice the swap of such a link on every file system.
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

/* Raises the soft limit of open files to the hard one: it is often 1024, fewer than the connections
 * that a server may have. */
void files_raise_limit(void);

#endif
