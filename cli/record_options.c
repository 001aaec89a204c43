#include "cli/record_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/jsonpath.h"
#include "cli/message.h"
#include "cli/option.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/base/timestamp.h"

#define DAY             (INT64_C(24) * 3600 * SECOND)
#define TEMPLATE_ARENA  ((size_t)16 * 1024 * 1024)
#define JSONPATH_PREFIX "jsonpath=" /* as in manuals.c */

/* A number of days, as in 7d, or a Go duration: 24h, 90m. */
static bool read_length(const char *text, int64_t *ret_length)
{
	struct error error;
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 5 || strcmp(text + digits, "d") != 0)
		return duration_parse(text, ret_length, &error) && *ret_length > 0;
	*ret_length = strtol(text, NULL, 10) * DAY;
	return *ret_length > 0;
}

/* A day, or a point of time to the minute or the second; in UTC where it names no offset. */
static bool read_date(const char *text, int64_t *ret_time)
{
	static const char *const ends[] = {"", "Z", ":00Z", "T00:00:00Z"};
	char whole[64];
	size_t length = strlen(text);
	if (length + sizeof "T00:00:00Z" > sizeof whole)
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(whole, sizeof whole, "%s%s", text, ends[i]);
		if (length > 10 && whole[10] == ' ')
			whole[10] = 'T';
		if (timestamp_parse(whole, ret_time))
			return true;
	}
	return false;
}

static bool take_time(const char *flag, const char *text, int64_t now, int64_t *ret_time,
                      struct error *error)
{
	int64_t length;
	if (read_length(text, &length)) {
		*ret_time = now > length ? now - length : 1;
		return true;
	}
	return read_date(text, ret_time) ||
	       error_set(
	               error,
	               "--%s %s: expected how long ago, such as 24h or 7d, or a time in UTC, such "
	               "as 2026-11-28 or 2026-11-28T10:30:00Z",
	               flag, text);
}

/* A template with a mistake is no reason to ask the API server. */
static bool take_template(const char *text, struct record_options *options, struct error *error)
{
	struct jsonpath path;
	struct arena *_cleanup_arena_ arena = arena_new(TEMPLATE_ARENA);
	if (arena == NULL)
		return error_set(error, "out of memory");
	options->output = RECORDS_JSONPATH;
	options->template = text;
	return jsonpath_compile(arena, text, &path, error);
}

static bool take_output(const char *text, struct record_options *options, struct error *error)
{
	static const struct {
		const char *text;
		enum record_output output;
	} outputs[] = {{"wide", RECORDS_WIDE},
	               {"json", RECORDS_JSON},
	               {"yaml", RECORDS_YAML},
	               {"name", RECORDS_NAME}};
	size_t prefix = strlen(JSONPATH_PREFIX);
	if (strncmp(text, JSONPATH_PREFIX, prefix) == 0 &&
	    option_is_word(options->manual, FLAG_OUTPUT, JSONPATH_PREFIX, NULL))
		return take_template(text + prefix, options, error);
	if (!option_is_word(options->manual, FLAG_OUTPUT, text, error))
		return false;
	for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
		if (strcmp(outputs[i].text, text) == 0)
			options->output = outputs[i].output;
	return true;
}

static bool take_color(const char *text, struct record_options *options, struct error *error)
{
	if (!option_is_word(options->manual, FLAG_COLOR, text, error))
		return false;
	options->color_when = strcmp(text, "always") == 0  ? COLOR_ALWAYS
	                      : strcmp(text, "never") == 0 ? COLOR_NEVER
	                                                   : COLOR_AUTO;
	return true;
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

static bool take_option(void *context, int flag, const char *value, struct error *error)
{
	struct record_options *options = context;
	switch (flag) {
	case FLAG_NAMESPACE:
		return take_namespace(value, options, error);
	case FLAG_ALL_NAMESPACES:
		options->all_namespaces = true;
		return true;
	case FLAG_SELECTOR:
		options->source.selector = value;
		return true;
	case FLAG_OUTPUT:
		return take_output(value, options, error);
	case FLAG_FILENAME:
		options->source.path = value;
		return true;
	case FLAG_CONTAINER:
		options->container = value;
		return true;
	case FLAG_SINCE:
		return take_time("since", value, options->now, &options->since, error);
	case FLAG_UNTIL:
		return take_time("until", value, options->now, &options->until, error);
	case FLAG_CAUSE:
		options->cause = value;
		return true;
	case FLAG_AGENT:
		options->agent = value;
		return true;
	case FLAG_NO_HEADERS:
		options->no_headers = true;
		return true;
	case FLAG_WATCH:
		options->watch = true;
		return true;
	case FLAG_CONFIG:
		options->config_path = value;
		return true;
	case FLAG_CLIENT:
		options->client = true;
		return true;
	case FLAG_COLOR:
		return take_color(value, options, error);
	case FLAG_LOG:
		options->log = true;
		return true;
	case FLAG_LOG_FILE:
		options->log_file = value;
		return true;
	case FLAG_UNRESOLVED:
		options->unresolved = true;
		return true;
	case FLAG_KUBECONFIG:
		options->source.kubectl.kubeconfig = value;
		return true;
	case FLAG_CONTEXT:
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
	if (options->watch && options->source.path != NULL)
		return error_set(error, "-w is for the API server, not for a file");
	if (options->watch && options->until > 0)
		return error_set(error, "-w and --until exclude each other");
	if (options->since > 0 && options->until > 0 && options->since > options->until)
		return error_set(error, "--since is later than --until");
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

/* The arguments, and what they and the flags make together. */
static bool take_arguments(int argc, char **argv, struct record_options *options,
                           struct error *error)
{
	bool takes_argument = options->manual->argument == VALUE_SUBJECT;
	if (takes_argument && optind < argc)
		options->argument = argv[optind++];
	if (optind < argc)
		return error_set(error, "unexpected argument \"%s\"; see --help", argv[optind]);
	if (takes_argument && options->argument == NULL)
		return error_set(error, "expected a pod, job/NAME, workflow/ID or task/ID");
	return check(options, error);
}

int record_options_read(int argc, char **argv, struct record_options *options)
{
	struct error error;
	options->now = clock_wall();
	options->manual = manual_find(options->command);
	int status = option_read(argc, argv, options->manual, take_option, options);
	if (status >= 0)
		return status;
	if (!take_arguments(argc, argv, options, &error)) {
		message(options->command, "%s", error.message);
		return EXIT_USAGE;
	}
	options->color = color_is_wanted(options->color_when);
	choose_namespace(options);
	return -1;
}

static bool is_same(const char *wanted, const char *text)
{
	return wanted == NULL || (text != NULL && strcmp(text, wanted) == 0);
}

bool record_is_chosen(void *context, const struct agent_exit *exit)
{
	const struct record_options *options = context;
	int64_t time = exit_time(exit);
	return (!options->unresolved || exit->resolved_at == AGENT_EXIT_UNKNOWN) &&
	       (options->since == 0 || time >= options->since) &&
	       (options->until == 0 || time <= options->until) &&
	       is_same(options->cause, exit->error_type) && is_same(options->agent, exit->agent) &&
	       is_same(options->container, exit->container);
}
