#include "watchdog/cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/ascii.h"

#define PATH_SIZE 512
#define TEXT_SIZE 4096

/* The start of a file as a text; false: it cannot be read. */
static bool read_text(const char *path, char text[TEXT_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, TEXT_SIZE - 1);
	close(fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	return true;
}

/* A line is ID:CONTROLLERS:PATH; v2 has ID 0 and no controllers (cgroups(7)). */
void cgroup_find_path(const char *text, const char *controller, char *ret_path, unsigned size)
{
	size_t wanted = strlen(controller);
	ret_path[0] = '\0';
	while (*text != '\0') {
		const char *end = strchrnul(text, '\n');
		const char *controllers = memchr(text, ':', (size_t)(end - text));
		const char *path = controllers == NULL ? NULL
		                                       : memchr(controllers + 1, ':',
		                                                (size_t)(end - controllers - 1));
		if (path != NULL && (size_t)(path - controllers - 1) == wanted &&
		    memcmp(controllers + 1, controller, wanted) == 0) {
			snprintf(ret_path, size, "%.*s", (int)(end - path - 1), path + 1);
			return;
		}
		text = *end == '\0' ? end : end + 1;
	}
}

static int64_t read_count(const char *path)
{
	char text[TEXT_SIZE];
	if (!read_text(path, text))
		return -1;
	const char *line = strstr(text, "oom_kill ");
	if (line == NULL)
		return -1;
	int64_t count = 0;
	for (const char *p = line + strlen("oom_kill "); ascii_is_digit(*p); p++)
		count = count * 10 + (*p - '0');
	return count;
}

int64_t cgroup_oom_kills(void)
{
	static const struct {
		const char *controller;
		const char *mount;
		const char *file;
	} hierarchies[] = {
	        {"", "/sys/fs/cgroup", "memory.events"},
	        {"memory", "/sys/fs/cgroup/memory", "memory.oom_control"},
	};
	char text[TEXT_SIZE];
	bool known = read_text("/proc/self/cgroup", text);
	for (size_t i = 0; i < sizeof hierarchies / sizeof hierarchies[0]; i++) {
		char inside[PATH_SIZE] = "";
		char path[2 * PATH_SIZE];
		if (known)
			cgroup_find_path(text, hierarchies[i].controller, inside, sizeof inside);
		snprintf(path, sizeof path, "%s%s/%s", hierarchies[i].mount, inside,
		         hierarchies[i].file);
		int64_t count = read_count(path);
		if (count >= 0)
			return count;
		snprintf(path, sizeof path, "%s/%s", hierarchies[i].mount, hierarchies[i].file);
		count = read_count(path);
		if (count >= 0)
			return count;
	}
	return -1;
}
