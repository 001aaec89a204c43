#include <stdio.h>

#include "cli/commands.h"
#include "cli/command_options.h"
#include "observer/receiver/receiver_config.h"

static const char usage[] =
        "Usage: lastword check -c CONFIG\n"
        "Reads a configuration, the webhook's (kind Config) or the observer's\n"
        "(kind ObserverConfig), and checks whether the program would accept it. A\n"
        "mistake is shown with its line, column and what was expected there.\n"
        "\n"
        "  -c, --config FILE  the configuration; - is standard input\n"
        "\n"
        "Exit status: 0 good, 1 refused, 2 usage.\n";

int command_check(int argc, char **argv)
{
	struct command_options options = {
	        .command = "check", .usage = usage, .takes_any_config = true};
	int status = command_options_read(argc, argv, &options);
	if (status >= 0)
		return status;
	const struct config *config = options.context.config;
	const struct receiver_config *receivers = options.receivers;
	if (receivers != NULL)
		printf("%s: ok, %zu receivers, config %s\n", options.config_path,
		       receivers->receiver_count, receivers->hash);
	else
		printf("%s: ok, %zu rules, config %s\n", options.config_path, config->rule_count,
		       config->hash);
	command_options_free(&options);
	return EXIT_OK;
}
