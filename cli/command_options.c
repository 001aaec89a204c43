#include "cli/command_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/documents.h"
#include "lib/kube/version.h"
#include "webhook/config.h"

enum { CODE_KUBE_VERSION = 1, CODE_HELP };

static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"filename", required_argument, NULL, 'f'},
        {"output", required_argument, NULL, 'o'},
        {"namespace", required_argument, NULL, 'n'},
        {"kube-version", required_argument, NULL, CODE_KUBE_VERSION},
        {"help", no_argument, NULL, CODE_HELP},
        {NULL, 0, NULL, 0},
};

static const char *const output_names[] = {[OUTPUT_YAML] = "yaml",
                                           [OUTPUT_JSON] = "json",
                                           [OUTPUT_PATCH] = "patch",
                                           [OUTPUT_TEXT] = "text"};

void complain(const struct command_options *options, const char *message)
{
	fprintf(stderr, "lastword %s: %s\n", options->command, message);
}

static bool take_output(const char *text, struct command_options *options, struct error *error)
{
	for (unsigned i = OUTPUT_YAML; i <= OUTPUT_TEXT; i++) {
		if ((options->outputs & 1U << i) != 0 && strcmp(output_names[i], text) == 0) {
			options->output = (enum output)i;
			return true;
		}
	}
	return error_set(error, "-o %s: not an output of this command; see --help", text);
}

static bool take_option(int code, const char *value, struct command_options *options,
                        struct error *error)
{
	if (!options->takes_file && code != 'c')
		return error_set(error, "unknown option; see --help");
	switch (code) {
	case 'c':
		options->config_path = value;
		return true;
	case 'f':
		options->path = value;
		return true;
	case 'n':
		options->namespace = value;
		return true;
	case 'o':
		return take_output(value, options, error);
	case CODE_KUBE_VERSION:
		return kube_version_parse(value, &options->context.server_minor, error) ||
		       error_wrap(error, "--kube-version");
	default:
		return error_set(error, "unknown option; see --help");
	}
}

static int usage_error(const struct command_options *options, const char *message)
{
	complain(options, message);
	return EXIT_USAGE;
}

int command_options_read(int argc, char **argv, struct command_options *options)
{
	struct error error = {""};
	int code;
	optind = 0; /* starts anew: main has read its own */
	while ((code = getopt_long(argc, argv, "c:f:o:n:", long_options, NULL)) != -1) {
		if (code == CODE_HELP) {
			fputs(options->usage, stdout);
			return EXIT_OK;
		}
		if (code == '?')
			return EXIT_USAGE; /* getopt has said it */
		if (!take_option(code, optarg, options, &error))
			return usage_error(options, error.message);
	}
	if (optind < argc)
		return usage_error(options, "unexpected argument; files are named with -f");
	if (options->config_path == NULL)
		return usage_error(options, "expected a configuration: -c FILE");
	if (options->takes_file && options->path == NULL)
		return usage_error(options, "expected a file: -f FILE, or -f - for standard input");

	struct config *config;
	if (!config_load(options->config_path, &config, &error)) {
		complain(options, error.message);
		return EXIT_FAILED;
	}
	options->context.config = config;
	return -1;
}

int command_options_load(int argc, char **argv, struct command_options *options,
                         struct documents *ret_documents)
{
	struct error error;
	int status = command_options_read(argc, argv, options);
	if (status >= 0)
		return status;
	if (documents_load(options->path, ret_documents, &error))
		return -1;
	complain(options, error.message);
	command_options_free(options);
	return EXIT_FAILED;
}

void command_options_free(struct command_options *options)
{
	config_free((struct config *)options->context.config);
	options->context.config = NULL;
}
