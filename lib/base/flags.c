#include "lib/base/flags.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"

enum { CODE_HELP = 1, CODE_VERSION, CODE_FIRST };

int flags_read(const char *program, const char *usage, const struct flag *flags, size_t count,
               int argc, char **argv)
{
	struct option options[FLAGS_MAX + 3] = {
	        {"help", no_argument, NULL, CODE_HELP},
	        {"version", no_argument, NULL, CODE_VERSION},
	};
	assert(count <= FLAGS_MAX);
	for (size_t i = 0; i < count; i++)
		options[2 + i] = (struct option){flags[i].name, required_argument, NULL,
		                                 CODE_FIRST + (int)i};
	int code;
	while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
		struct error error = {""};
		if (code == CODE_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (code == CODE_VERSION) {
			printf("%s %s\n", program, LASTWORD_VERSION);
			return 0;
		}
		if (code == '?')
			return FLAGS_EXIT_USAGE; /* getopt has said it */
		const struct flag *flag = &flags[code - CODE_FIRST];
		if (!flag->take(optarg, flag->target, &error)) {
			fprintf(stderr, "%s: --%s: %s\n", program, flag->name, error.message);
			return FLAGS_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument \"%s\"\n", program, argv[optind]);
		return FLAGS_EXIT_USAGE;
	}
	return -1;
}

bool flag_log_level(const char *value, void *target, struct error *error)
{
	enum log_level level;
	(void)target;
	if (!log_level_parse(value, &level))
		return error_set(error, "expected debug, info, warning or error, got \"%s\"",
		                 value);
	log_set_level(level);
	return true;
}

bool flag_number(const char *text, unsigned long most, unsigned long *ret_value,
                 struct error *error)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 ||
	    value > most)
		return error_set(error, "expected a number from 1 to %lu, got \"%s\"", most, text);
	*ret_value = value;
	return true;
}
