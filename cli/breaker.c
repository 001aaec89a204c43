/* lastword breaker: shows the breakers of namespaces, and opens or closes one by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/kubectl.h"
#include "cli/message.h"
#include "cli/option.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/base/timestamp.h"
#include "lib/kube/breaker_state.h"

#define OUTPUT_MAX   ((size_t)8 * 1024 * 1024)
#define ARGUMENT_MAX ((size_t)120 * 1024) /* Linux: MAX_ARG_STRLEN */
#define ATTEMPTS     5                    /* when others write at the same time */

struct breaker_command {
	struct kubectl kubectl;
	const char *own; /* lastword's namespace */
	bool json;
	int64_t open_for; /* nanoseconds; 0: until it is closed */
	const char *verb; /* list, open, close */
	const char *namespace;
};

/* ---- Flags ---- */

static bool take_flag(void *context, int flag, const char *value, struct error *error)
{
	struct breaker_command *command = context;
	switch (flag) {
	case FLAG_NAMESPACE:
		command->own = value;
		return true;
	case FLAG_OUTPUT:
		command->json = true;
		return option_is_word(manual_find("breaker"), FLAG_OUTPUT, value, error);
	case FLAG_FOR:
		if (!duration_parse(value, &command->open_for, error))
			return error_wrap(error, "--for");
		return command->open_for > 0 || error_set(error, "--for: expected more than 0");
	case FLAG_KUBECONFIG:
		command->kubectl.kubeconfig = value;
		return true;
	case FLAG_CONTEXT:
		command->kubectl.context = value;
		return true;
	default:
		return false;
	}
}

static bool take_arguments(int argc, char **argv, struct breaker_command *command,
                           struct error *error)
{
	command->verb = optind < argc ? argv[optind] : "list";
	bool list = strcmp(command->verb, "list") == 0;
	bool open = strcmp(command->verb, "open") == 0;
	if (!list && !open && strcmp(command->verb, "close") != 0)
		return error_set(error, "expected list, open or close, got \"%.100s\"",
		                 command->verb);
	int rest = argc - optind - 1;
	if (list && rest > 0)
		return error_set(error, "list: expected no argument, got \"%.100s\"",
		                 argv[optind + 1]);
	if (!list && rest != 1)
		return error_set(error, "%s: expected one namespace", command->verb);
	if (command->open_for != 0 && !open)
		return error_set(error, "--for belongs to open");
	command->namespace = list ? NULL : argv[optind + 1];
	return true;
}

/* -1: go on; else the exit status, after a message. */
static int read_flags(int argc, char **argv, struct breaker_command *command)
{
	struct error error;
	int status = option_read(argc, argv, manual_find("breaker"), take_flag, command);
	if (status >= 0)
		return status;
	if (take_arguments(argc, argv, command, &error))
		return -1;
	message("breaker", "%s", error.message);
	return EXIT_USAGE;
}

/* ---- The ConfigMap ---- */

static bool load(const struct breaker_command *command, struct breaker_state *ret_state,
                 char ret_version[BREAKER_VERSION_SIZE], struct error *error)
{
	char path[400];
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, BREAKER_OBJECT_MAX);
	snprintf(path, sizeof path, "/api/v1/namespaces/%.63s/configmaps/" BREAKER_CONFIG_MAP,
	         command->own);
	return kubectl_get_raw(&command->kubectl, path, &body, error) &&
	       breaker_config_map_parse(buffer_text(&body), body.length, ret_state, ret_version,
	                                error);
}

/* True: the state is another one now. */
static bool change(const struct breaker_command *command, struct breaker_state *state, bool *ret_ok,
                   struct error *error)
{
	int64_t now = clock_wall();
	const struct breaker_cause cause = {.reason = "manual", .message = "opened by hand"};
	bool open = strcmp(command->verb, "open") == 0;
	struct breaker_entry *entry = breaker_state_find(state, command->namespace);
	*ret_ok = true;
	if (!open && (entry == NULL || entry->position == BREAKER_CLOSED))
		return false;
	entry = breaker_state_add(state, command->namespace);
	if (entry == NULL) {
		*ret_ok = error_set(error, "expected a namespace, and at most %d of them, got %s",
		                    BREAKER_ENTRIES_MAX, command->namespace);
		return false;
	}
	if (open)
		breaker_entry_open(entry, now,
		                   command->open_for == 0 ? 0 : clock_after(now, command->open_for),
		                   &cause);
	else
		breaker_entry_close(entry, now);
	return true;
}

static bool is_conflict(const struct error *error)
{
	return strstr(error->message, "(Conflict)") != NULL ||
	       strstr(error->message, "the object has been modified") != NULL;
}

/* One attempt; *ret_changed: it was not as wanted already. */
static bool try_change(const struct breaker_command *command, bool *ret_changed,
                       struct error *error)
{
	struct breaker_state _cleanup_breaker_state_ state = {.entries = NULL};
	char version[BREAKER_VERSION_SIZE];
	struct buffer _cleanup_buffer_ patch;
	bool ok;
	buffer_init(&patch, OUTPUT_MAX);
	if (!load(command, &state, version, error))
		return false;
	*ret_changed = change(command, &state, &ok, error);
	if (!ok || !*ret_changed)
		return ok;
	breaker_config_map_patch(&state, version, &patch);
	if (!buffer_ok(&patch) || patch.length > ARGUMENT_MAX)
		return error_set(error, "the state is too large for an argument of kubectl's");
	return kubectl_patch_config_map(&command->kubectl, command->own, BREAKER_CONFIG_MAP,
	                                buffer_text(&patch), error);
}

static int change_breaker(const struct breaker_command *command)
{
	struct error error;
	bool changed;
	bool done = try_change(command, &changed, &error);
	for (int i = 1; i < ATTEMPTS && !done && is_conflict(&error); i++)
		done = try_change(command, &changed, &error);
	if (!done) {
		message("breaker", "%s", error.message);
		return EXIT_FAILED;
	}
	printf("%s: %s%s\n", command->namespace,
	       strcmp(command->verb, "open") == 0 ? "open" : "closed",
	       changed ? "" : " (it was already)");
	return EXIT_OK;
}

/* ---- The list ---- */

enum column {
	COLUMN_NAMESPACE,
	COLUMN_STATE,
	COLUMN_SINCE,
	COLUMN_UNTIL,
	COLUMN_REASON,
	COLUMN_POD,
	COLUMN_MESSAGE,
	COLUMN_COUNT
};

static const struct table_column columns[COLUMN_COUNT] = {
        [COLUMN_NAMESPACE] = {.title = "NAMESPACE", .shrink_turn = 3, .min_width = 9},
        [COLUMN_STATE] = {.title = "STATE"},
        [COLUMN_SINCE] = {.title = "SINCE", .drop_turn = 2},
        [COLUMN_UNTIL] = {.title = "UNTIL", .drop_turn = 1},
        [COLUMN_REASON] = {.title = "REASON"},
        [COLUMN_POD] = {.title = "POD", .shrink_turn = 2, .min_width = 12, .middle = true},
        [COLUMN_MESSAGE] = {.title = "MESSAGE", .shrink_turn = 1, .drop_turn = 3, .min_width = 16},
};

struct cells {
	char times[2][TIMESTAMP_SIZE];
	char message[1024];
};

static const char *time_cell(int64_t time, char text[TIMESTAMP_SIZE])
{
	if (time == 0)
		return "-";
	timestamp_print(time - time % SECOND, text);
	memcpy(text + 19, "Z", 2);
	return text;
}

static const char *or_dash(const char *text)
{
	return text[0] == '\0' ? "-" : text;
}

static void fill(const struct breaker_entry *entry, struct cells *cells,
                 const char *row[COLUMN_COUNT])
{
	struct buffer line;
	buffer_init_fixed(&line, cells->message, sizeof cells->message);
	terminal_line(&line, or_dash(entry->message));
	row[COLUMN_NAMESPACE] = entry->namespace;
	row[COLUMN_STATE] = breaker_position_name(entry->position);
	row[COLUMN_SINCE] = time_cell(entry->since, cells->times[0]);
	row[COLUMN_UNTIL] = time_cell(entry->until, cells->times[1]);
	row[COLUMN_REASON] = or_dash(entry->reason);
	row[COLUMN_POD] = or_dash(entry->trial[0] != '\0' ? entry->trial : entry->pod);
	row[COLUMN_MESSAGE] = cells->message;
}

static void print_table(const struct breaker_state *state, struct buffer *out)
{
	const char **rows = calloc(state->count * COLUMN_COUNT + 1, sizeof *rows);
	struct cells *cells = calloc(state->count + 1, sizeof *cells);
	size_t count = 0;
	for (size_t i = 0; rows != NULL && cells != NULL && i < state->count; i++)
		if (state->entries[i].position != BREAKER_CLOSED) {
			fill(&state->entries[i], &cells[count], &rows[count * COLUMN_COUNT]);
			count++;
		}
	struct table table = {.columns = columns, .count = COLUMN_COUNT, .width = terminal_width()};
	if (count > 0)
		table_print(out, &table, rows, count);
	else
		fputs("No breaker is open.\n", stderr);
	free(cells);
	free((void *)rows);
}

static int list_breakers(const struct breaker_command *command)
{
	struct breaker_state _cleanup_breaker_state_ state = {.entries = NULL};
	char version[BREAKER_VERSION_SIZE];
	struct buffer _cleanup_buffer_ out;
	struct error error;
	buffer_init(&out, OUTPUT_MAX);
	if (!load(command, &state, version, &error)) {
		message("breaker", "%s", error.message);
		return EXIT_FAILED;
	}
	if (command->json) {
		breaker_state_write(&state, &out);
		buffer_append_char(&out, '\n');
	} else {
		print_table(&state, &out);
	}
	if (!buffer_ok(&out) || fwrite(buffer_text(&out), 1, out.length, stdout) != out.length ||
	    fflush(stdout) != 0) {
		message("breaker", "writing to standard output failed");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

int command_breaker(int argc, char **argv)
{
	struct breaker_command command = {.own = "lastword-system"};
	int status = read_flags(argc, argv, &command);
	if (status >= 0)
		return status;
	return strcmp(command.verb, "list") == 0 ? list_breakers(&command)
	                                         : change_breaker(&command);
}
