#include <stdio.h>

#include "cli/commands.h"
#include "cli/command_options.h"
#include "observer/receiver/receiver_config.h"

int command_check(int argc, char **argv)
{
	struct command_options options = {.command = "check", .takes_any_config = true};
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
