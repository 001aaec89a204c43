#include "webhook/validate.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/kube/agent_exit.h"

bool signal_name_valid(const char *name)
{
	static const char *const names[] = {
	        "HUP",  "INT", "QUIT", "ABRT", "USR1",   "USR2", "PIPE",  "ALRM", "TERM", "CHLD",
	        "CONT", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR"};
	if (strncmp(name, "SIG", 3) != 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name + 3, names[i]) == 0)
			return true;
	return false;
}

bool context_name_valid(const char *name)
{
	if (!ascii_is_letter(name[0]) && name[0] != '_')
		return false;
	size_t length = 1;
	while (ascii_is_alnum(name[length]) || name[length] == '_')
		length++;
	if (name[length] != '\0' || length > 63)
		return false;
	return !agent_exit_key_reserved(name) && strcmp(name, "lastword") != 0;
}
