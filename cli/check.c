#include <stdio.h>

#include "cli/commands.h"
#include "cli/command_options.h"

static const char usage[] =
        "Usage: lastword check -c CONFIG\n"
        "Reads a configuration and checks whether the webhook would accept it. A "
        "mistake is shown with its\n"
        "line, column and what was expected there.\n"
        "\n"
        "  -c, --config FILE  the configuration; - is standard input\n"
        "\n"
        "Exit status: 0 good, 1 refused, 2 usage.\n";

int command_check(int argc, char **argv)
{
	struct command_options options = {.command = "check", .usage = usage};
	int status = command_options_read(argc, argv, &options);
	if (status >= 0)
		return status;
	const struct config *config = options.context.config;
	printf("%s: ok, %zu rules, config %s\n", options.config_path, config->rule_count,
	       config->hash);
	command_options_free(&options);
	return EXIT_OK;
}
