#include "cli/option.h"

#include <stddef.h>

void option_begin(void)
{
	optind = 0;
	opterr = 0;
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
	else if (code == '?')
		error_set(error, "%s: unknown flag, or one that takes no value; see --help", given);
	return code == ':' ? OPTION_WRONG : code;
}
