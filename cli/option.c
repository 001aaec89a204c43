#include "cli/option.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/nearest.h"

void option_begin(void)
{
	optind = 0;
	opterr = 0;
}

/* The flag that was meant; NULL: none is near. */
static const char *meant_flag(const char *given, const struct option *long_options)
{
	char name[NEAREST_LENGTH_MAX + 1];
	struct nearest nearest = {.text = name};
	size_t length = strncmp(given, "--", 2) == 0 ? strcspn(given + 2, "=") : sizeof name;
	if (length >= sizeof name)
		return NULL;
	memcpy(name, given + 2, length);
	name[length] = '\0';
	for (; long_options->name != NULL; long_options++)
		nearest_offer(&nearest, long_options->name);
	return nearest.word == NULL || nearest.distance == 0 ? NULL : nearest.word;
}

int option_next(int argc, char **argv, const char *letters, const struct option *long_options,
                struct error *error)
{
	int code = getopt_long(argc, argv, letters, long_options, NULL);
	const char *given = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	if (code == ':')
		error_set(error, "%s: expected a value; see --help", given);
	else if (code == '?' && optopt != 0 && given[1] != '-')
		error_set(error, "-%c: unknown flag; see --help", optopt);
	else if (code == '?') {
		const char *meant = meant_flag(given, long_options);
		error_set(error, "%s: unknown flag, or one that takes no value; see --help%s%s%s",
		          given, meant == NULL ? "" : "; did you mean --",
		          meant == NULL ? "" : meant, meant == NULL ? "" : "?");
	}
	return code == ':' ? OPTION_WRONG : code;
}
