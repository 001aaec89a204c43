#include "cli/command_options.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/input.h"
#include "cli/message.h"
#include "cli/option.h"
#include "lib/base/buffer.h"
#include "lib/kube/version.h"
#include "observer/receiver/receiver_config.h"
#include "webhook/config.h"

static const char *const output_names[] = {[OUTPUT_YAML] = "yaml",
                                           [OUTPUT_JSON] = "json",
                                           [OUTPUT_PATCH] = "patch",
                                           [OUTPUT_TEXT] = "text"};

static bool take_output(const char *text, struct command_options *options, struct error *error)
{
	if (!option_is_word(options->manual, FLAG_OUTPUT, text, error))
		return false;
	for (unsigned i = OUTPUT_YAML; i <= OUTPUT_TEXT; i++)
		if (strcmp(output_names[i], text) == 0)
			options->output = (enum output)i;
	return true;
}

static bool take_option(void *context, int flag, const char *value, struct error *error)
{
	struct command_options *options = context;
	switch (flag) {
	case FLAG_CONFIG:
		options->config_path = value;
		return true;
	case FLAG_FILENAME:
		options->path = value;
		return true;
	case FLAG_NAMESPACE:
		options->namespace = value;
		return true;
	case FLAG_OUTPUT:
		return take_output(value, options, error);
	case FLAG_KUBE_VERSION:
		return kube_version_parse(value, &options->context.server_minor, error) ||
		       error_wrap(error, "--kube-version");
	case FLAG_WATCHDOG_IMAGE:
		options->watchdog_image = value;
		return *value != '\0' || error_set(error, "--watchdog-image: expected an image");
	default:
		return true;
	}
}

static bool takes_file(const struct command_options *options)
{
	return manual_find_flag(options->manual, "filename", strlen("filename"), '\0') != NULL;
}

/* All flags together make a command. */
static bool check_options(int argc, char **argv, const struct command_options *options,
                          struct error *error)
{
	if (optind < argc)
		return error_set(error, "%s: unexpected argument; files are named with -f",
		                 argv[optind]);
	if (options->config_path == NULL)
		return error_set(error, "expected a configuration: -c FILE");
	if (takes_file(options) && options->path == NULL)
		return error_set(error, "expected a file: -f FILE, or -f - for standard input");
	if (options->path != NULL && strcmp(options->path, "-") == 0 &&
	    strcmp(options->config_path, "-") == 0)
		return error_set(error, "only one of -c and -f can be standard input");
	return true;
}

static bool parse_config(struct command_options *options, const struct buffer *text,
                         struct error *error)
{
	struct config *config;
	if (options->takes_any_config && receiver_config_is_meant(buffer_text(text), text->length))
		return receiver_config_parse(buffer_text(text), text->length, &options->receivers,
		                             error);
	if (!config_parse(buffer_text(text), text->length, &config, error))
		return false;
	config_set_default_image(config, options->watchdog_image);
	options->context.config = config;
	return true;
}

static bool load_config(struct command_options *options, struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, CONFIG_SIZE_MAX + 1);
	return input_read(options->config_path, &text, error) &&
	       (parse_config(options, &text, error) ||
	        error_wrap(error, "%s", options->config_path));
}

int command_options_read(int argc, char **argv, struct command_options *options)
{
	struct error error;
	options->manual = manual_find(options->command);
	int status = option_read(argc, argv, options->manual, take_option, options);
	if (status >= 0)
		return status;
	if (!check_options(argc, argv, options, &error)) {
		message(options->command, "%s", error.message);
		return EXIT_USAGE;
	}
	if (!load_config(options, &error)) {
		message(options->command, "%s", error.message);
		return EXIT_FAILED;
	}
	return -1;
}

static void print_warnings(const struct command_options *options,
                           const struct yaml_warning *warnings)
{
	for (const struct yaml_warning *warning = warnings; warning != NULL;
	     warning = warning->next) {
		if (warning->line == 0)
			message(options->command, "%s: warning: %s", options->path, warning->text);
		else
			message(options->command, "%s: line %u, column %u: warning: %s",
			        options->path, warning->line, warning->column, warning->text);
	}
}

int command_options_load(int argc, char **argv, struct command_options *options,
                         struct documents *ret_documents)
{
	struct error error;
	int status = command_options_read(argc, argv, options);
	if (status >= 0)
		return status;
	if (documents_load(options->path, ret_documents, &error)) {
		print_warnings(options, ret_documents->warnings);
		return -1;
	}
	message(options->command, "%s", error.message);
	command_options_free(options);
	return EXIT_FAILED;
}

void command_options_free(struct command_options *options)
{
	config_free((struct config *)options->context.config);
	options->context.config = NULL;
	receiver_config_free(options->receivers);
	options->receivers = NULL;
}
