#include "watchdog/step_wrapper.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Go's flag package takes one dash or two. */
static bool has_wait_file(char **arguments)
{
	for (; *arguments != NULL && strcmp(*arguments, "--") != 0; arguments++) {
		const char *flag = *arguments + (strncmp(*arguments, "--", 2) == 0);
		if (strcmp(flag, "-wait_file") == 0 || strncmp(flag, "-wait_file=", 11) == 0)
			return true;
	}
	return false;
}

bool step_wrapper_is(char **command)
{
	const char *slash = strrchr(command[0], '/');
	const char *name = slash == NULL ? command[0] : slash + 1;
	if (strcmp(name, "entrypoint") == 0)
		return has_wait_file(command + 1);
	return strcmp(name, "argoexec") == 0 && command[1] != NULL &&
	       strcmp(command[1], "emissary") == 0;
}

/* Whether a thread has a child. *ret_known: it can be told; else the thread has ended, or the
 * kernel was built without CONFIG_PROC_CHILDREN. */
static bool has_child(pid_t pid, const char *thread, bool *ret_known)
{
	char path[80];
	char byte;
	snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	*ret_known = fd >= 0;
	if (fd < 0)
		return false;
	bool any = read(fd, &byte, 1) == 1;
	close(fd);
	return any;
}

bool step_wrapper_has_started(pid_t pid)
{
	char path[40];
	bool any = false;
	bool any_known = false;
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *threads = opendir(path);
	if (threads == NULL)
		return true;
	for (struct dirent *entry; !any && (entry = readdir(threads)) != NULL;) {
		bool known;
		if (entry->d_name[0] == '.')
			continue;
		any = has_child(pid, entry->d_name, &known);
		any_known |= known;
	}
	closedir(threads);
	return any || !any_known;
}
