#include "cli/record_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/option.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"

#define DAY (INT64_C(24) * 3600 * SECOND)

enum { CODE_SINCE = 1, CODE_KUBECONFIG, CODE_CONTEXT, CODE_LOG, CODE_UNRESOLVED };

static const struct option long_options[] = {
        {"namespace", required_argument, NULL, 'n'},
        {"all-namespaces", no_argument, NULL, 'A'},
        {"selector", required_argument, NULL, 'l'},
        {"output", required_argument, NULL, 'o'},
        {"filename", required_argument, NULL, 'f'},
        {"container", required_argument, NULL, 'c'},
        {"since", required_argument, NULL, CODE_SINCE},
        {"log", no_argument, NULL, CODE_LOG},
        {"unresolved", no_argument, NULL, CODE_UNRESOLVED},
        {"kubeconfig", required_argument, NULL, CODE_KUBECONFIG},
        {"context", required_argument, NULL, CODE_CONTEXT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
};

static const char *long_name(int code)
{
	size_t i = 0;
	while (long_options[i].name != NULL && long_options[i].val != code)
		i++;
	return long_options[i].name == NULL ? "" : long_options[i].name;
}

/* Which letter of options.flags allows the long ones. */
static char letter_of(int code)
{
	switch (code) {
	case CODE_SINCE:
		return 's';
	case CODE_LOG:
		return 'L';
	case CODE_UNRESOLVED:
		return 'u';
	default:
		return (char)code;
	}
}

/* A Go duration, or days: 24h, 90m, 7d. */
static bool take_since(const char *text, int64_t *ret_since, struct error *error)
{
	size_t digits = strspn(text, "0123456789");
	int64_t days = 0;
	if (digits > 0 && strcmp(text + digits, "d") == 0) {
		for (size_t i = 0; i < digits && days < 100000; i++)
			days = days * 10 + (text[i] - '0');
		if (days > 0 && days < 100000) {
			*ret_since = days * DAY;
			return true;
		}
	}
	int64_t since;
	if (!duration_parse(text, &since, error) || since <= 0)
		return error_set(error, "--since %s: expected a length of time, such as 24h or 7d",
		                 text);
	*ret_since = since;
	return true;
}

static bool take_output(const struct record_options *options, const char *text,
                        enum record_output *ret_output, struct error *error)
{
	bool has_wide = strchr(options->flags, 'w') != NULL;
	if (has_wide && strcmp(text, "wide") == 0) {
		*ret_output = RECORDS_WIDE;
		return true;
	}
	if (strcmp(text, "json") == 0) {
		*ret_output = RECORDS_JSON;
		return true;
	}
	return error_set(error, "-o %s: expected %s", text, has_wide ? "wide or json" : "json");
}

/* It becomes part of a path. */
static bool take_namespace(const char *text, struct record_options *options, struct error *error)
{
	size_t length = strlen(text);
	if (length == 0 || length >= sizeof options->namespace ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
		return error_set(error, "-n %s: expected the name of a namespace", text);
	options->source.namespace = text;
	return true;
}

static bool take_option(int code, const char *value, struct record_options *options,
                        struct error *error)
{
	if (code != CODE_KUBECONFIG && code != CODE_CONTEXT)
		if (strchr(options->flags, letter_of(code)) == NULL)
			return error_set(error, "--%s: not a flag of this command; see --help",
			                 long_name(code));
	switch (code) {
	case 'n':
		return take_namespace(value, options, error);
	case 'A':
		options->all_namespaces = true;
		return true;
	case 'l':
		options->source.selector = value;
		return true;
	case 'o':
		return take_output(options, value, &options->output, error);
	case 'f':
		options->source.path = value;
		return true;
	case 'c':
		options->container = value;
		return true;
	case CODE_SINCE:
		return take_since(value, &options->since, error);
	case CODE_LOG:
		options->log = true;
		return true;
	case CODE_UNRESOLVED:
		options->unresolved = true;
		return true;
	case CODE_KUBECONFIG:
		options->source.kubectl.kubeconfig = value;
		return true;
	case CODE_CONTEXT:
		options->source.kubectl.context = value;
		return true;
	default:
		return true;
	}
}

static bool check(const struct record_options *options, struct error *error)
{
	if (options->all_namespaces && options->source.namespace != NULL)
		return error_set(error, "-A and -n exclude each other");
	if (options->source.path != NULL && options->source.selector != NULL)
		return error_set(error, "-l is for the API server, not for a file");
	return true;
}

/* A file has all namespaces unless one is named. */
static void choose_namespace(struct record_options *options)
{
	struct buffer name;
	if (options->source.namespace != NULL || options->all_namespaces ||
	    options->source.path != NULL)
		return;
	buffer_init_fixed(&name, options->namespace, sizeof options->namespace);
	kubectl_namespace(&options->source.kubectl, &name);
	options->source.namespace = options->namespace;
}

/* The flags, all of them; false with error when they make no command. */
static bool take_options(int argc, char **argv, struct record_options *options, bool *ret_help,
                         struct error *error)
{
	int code;
	option_begin();
	while ((code = option_next(argc, argv, ":n:Al:o:f:c:h", long_options, error)) !=
	       OPTION_END) {
		*ret_help = code == 'h';
		if (*ret_help)
			return true;
		if (code == OPTION_WRONG || !take_option(code, optarg, options, error))
			return false;
	}
	bool takes_argument = strchr(options->flags, 'p') != NULL;
	if (takes_argument && optind < argc)
		options->argument = argv[optind++];
	if (optind < argc)
		return error_set(error, "unexpected argument \"%s\"; see --help", argv[optind]);
	if (takes_argument && options->argument == NULL)
		return error_set(error, "expected the name of a pod");
	return check(options, error);
}

int record_options_read(int argc, char **argv, struct record_options *options)
{
	struct error error = {""};
	bool help = false;
	if (!take_options(argc, argv, options, &help, &error)) {
		message(options->command, "%s", error.message);
		return EXIT_USAGE;
	}
	if (help) {
		fputs(options->usage, stdout);
		return EXIT_OK;
	}
	choose_namespace(options);
	return -1;
}

int record_print(const struct record_options *options, const struct buffer *text)
{
	if (!buffer_ok(text)) {
		message(options->command, "too much to print, or no memory: choose fewer records");
		return EXIT_FAILED;
	}
	fwrite(buffer_text(text), 1, text->length, stdout);
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return EXIT_OK;
	struct error error;
	error_set_errno(&error, errno, "writing standard output");
	message(options->command, "%s", error.message);
	return EXIT_FAILED;
}

/* Lines of a printed object, each further in; line ends are layout only. */
static void append_indented(struct buffer *out, const char *text)
{
	static const char indent[] = "        ";
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		buffer_append_text(out, indent);
		terminal_json(out, text, length);
		text += length;
		if (*text == '\n') {
			buffer_append_char(out, '\n');
			text++;
		}
	}
}

void record_json(struct buffer *out, const struct exit_list *list)
{
	buffer_append_text(out, "{\n    \"apiVersion\": \"" AGENT_EXIT_API_VERSION "\",\n"
	                        "    \"kind\": \"" AGENT_EXIT_KIND "List\",\n"
	                        "    \"metadata\": {},\n"
	                        "    \"items\": [");
	for (size_t i = 0; i < list->count; i++) {
		buffer_append_text(out, i == 0 ? "\n" : ",\n");
		append_indented(out, list->rows[i].json);
	}
	buffer_append_text(out, list->count == 0 ? "]\n}\n" : "\n    ]\n}\n");
}
