#include "lib/base/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

bool watched_file_changed(struct watched_file *file)
{
	struct stat status;
	uint64_t now[5] = {0, 0, 0, 0, 1};
	if (stat(file->path, &status) == 0) {
		now[0] = (uint64_t)status.st_dev;
		now[1] = (uint64_t)status.st_ino;
		now[2] = (uint64_t)status.st_size;
		now[3] = (uint64_t)status.st_mtim.tv_sec;
		now[4] = (uint64_t)status.st_mtim.tv_nsec + 2;
	}
	if (memcmp(now, file->seen, sizeof now) == 0)
		return false;
	memcpy(file->seen, now, sizeof now);
	return true;
}

bool file_read(const char *path, struct buffer *out, struct error *error)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return error_set_errno(error, errno, "%s", path);
	char chunk[16384];
	size_t got;
	while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
		buffer_append(out, chunk, got);
	bool failed = ferror(file) != 0;
	int number = errno;
	fclose(file);
	if (failed)
		return error_set_errno(error, number, "%s", path);
	if (!buffer_ok(out))
		return error_set(error, "%s: expected at most %zu bytes", path, out->limit);
	return true;
}

void files_raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
