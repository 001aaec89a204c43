#include "cli/exit_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/printed_records.h"
#include "cli/record_output.h"
#include "cli/record_table.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/line_splitter.h"
#include "lib/http/url.h"

#define OUTPUT_MAX    ((size_t)1024 * 1024 * 1024)
#define EVENT_MAX     ((size_t)64 * 1024 * 1024)
#define PATH_SIZE_MAX ((size_t)64 * 1024)
/* The API server ends the watch after 300 s, and the next one begins. */
#define WATCH_QUERY "watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
#define QUIET_MS    330000 /* then the connection is dead */
#define WAIT_MIN_MS 1000
#define WAIT_MAX_MS 30000
#define LASTING     (10 * SECOND) /* a watch that ended after so long did not fail at once */

struct exit_watch {
	struct record_options *options;
	struct exit_choice choice;
	struct exit_list list; /* what is being printed; its resource_version is the watch's */
	struct record_table table;
	struct table_memory memory;
	struct printed_records printed;
	bool first; /* nothing is printed yet */
	struct interrupt interrupt;
	struct arena *arena; /* of one event */
	bool expired;        /* the resourceVersion is too old */
	bool heard;          /* this watch had an event */
	bool ended;          /* standard output cannot be written … */
	bool unread;         /* … since nobody reads it */
	struct error lost;   /* the last message about a watch that failed; "": none did since */
};

/* ---- What is printed ---- */

static uint64_t hash_of(const struct exit_watch *watch, const struct exit_row *row)
{
	if (watch->options->output == RECORDS_NAME)
		return 0;
	return watch->choice.keep_json ? hash_text(row->json)
	                               : record_table_hash(&watch->table, row);
}

/* Leaves only those rows in the list that are new or have changed. */
static bool drop_printed(struct exit_watch *watch, struct error *error)
{
	struct exit_list *list = &watch->list;
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct exit_row *row = &list->rows[i];
		uint64_t name = hash_add(hash_text(row->namespace), "", 1);
		bool changed;
		name = hash_add(name, row->name, strlen(row->name));
		if (!printed_records_note(&watch->printed, name, hash_of(watch, row), &changed))
			return error_set(error, "no memory");
		if (changed)
			list->rows[kept++] = *row;
	}
	list->count = kept;
	return true;
}

/* Prints what is new in the list. */
static bool print_new(struct exit_watch *watch, struct error *error)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, OUTPUT_MAX);
	if (!drop_printed(watch, error))
		return false;
	if (watch->list.count == 0)
		return true;
	watch->table.now = clock_wall();
	if (!watch->choice.keep_json)
		record_table_print(&watch->table, watch->list.rows, watch->list.count, &out);
	else if (!record_output_write_each(watch->options, &watch->list, watch->first, &out, error))
		return false;
	watch->first = false;
	if (!buffer_ok(&out))
		return error_set(error, "too much to print, or no memory: choose fewer records");
	fwrite(buffer_text(&out), 1, out.length, stdout);
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return true;
	watch->ended = true;
	watch->unread = errno == EPIPE;
	return error_set_errno(error, errno, "writing standard output");
}

/* ---- Events ---- */

/* Of an event; the watch goes on from it. */
static void note_version(struct exit_watch *watch, const json *object)
{
	const char *version =
	        json_get_string_or(json_get(object, "metadata"), "resourceVersion", "");
	if (version[0] == '\0')
		return;
	buffer_clear(&watch->list.resource_version);
	buffer_append_text(&watch->list.resource_version, version);
}

static bool take_object(struct exit_watch *watch, const json *object, struct error *error)
{
	exit_list_clear(&watch->list);
	return exit_list_add(&watch->list, &watch->choice, object, error) &&
	       print_new(watch, error);
}

/* A line of the watch. False: the watch is over. */
static bool take_event(void *context, const char *line, size_t length)
{
	struct exit_watch *watch = context;
	json *event;
	arena_reset(watch->arena);
	if (json_parse(watch->arena, line, length, JSON_KEEP_NUMBERS, &event, &watch->lost) ==
	    JSON_INVALID)
		return error_wrap(&watch->lost, "an event of the watch");
	const json *object = json_get(event, "object");
	const char *type = json_get_string_or(event, "type", "");
	if (strcmp(type, "ERROR") == 0) {
		watch->expired = true;
		return error_set(&watch->lost, "%s",
		                 json_get_string_or(object, "message", "the watch failed"));
	}
	watch->heard = true;
	if ((strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) &&
	    !take_object(watch, object, &watch->lost))
		return false;
	note_version(watch, object);
	return true;
}

struct stream {
	struct exit_watch *watch;
	struct line_splitter lines;
};

static bool take_bytes(void *context, const char *bytes, size_t length)
{
	struct stream *stream = context;
	return line_splitter_feed(&stream->lines, bytes, length, take_event, stream->watch);
}

/* ---- One watch, and the next ---- */

static void write_path(const struct exit_watch *watch, struct buffer *path)
{
	exit_source_path(&watch->options->source, WATCH_QUERY, path);
	buffer_append_text(path, "&resourceVersion=");
	url_escape(path, buffer_text(&watch->list.resource_version));
}

/* False: it failed; error says why, or the event that watch->lost has. */
static bool run_watch(struct exit_watch *watch, enum child_end *ret_end, struct error *error)
{
	struct buffer _cleanup_buffer_ path;
	struct stream stream = {.watch = watch};
	const struct child_output output = {take_bytes, &stream, &watch->interrupt, QUIET_MS};
	buffer_init(&path, PATH_SIZE_MAX);
	write_path(watch, &path);
	if (!buffer_ok(&path))
		return error_set(error, "the label selector is too long, or no memory");
	line_splitter_init(&stream.lines, EVENT_MAX);
	bool done = kubectl_follow_raw(&watch->options->source.kubectl, buffer_text(&path), &output,
	                               ret_end, error);
	line_splitter_free(&stream.lines);
	if (done && *ret_end == CHILD_UNWANTED) {
		*error = watch->lost;
		return false;
	}
	return done;
}

static bool is_expired(const struct error *error)
{
	return strstr(error->message, "(Expired)") != NULL ||
	       strstr(error->message, "(Gone)") != NULL;
}

static bool reload(struct exit_watch *watch, struct error *error)
{
	exit_list_free(&watch->list);
	return exit_list_load(&watch->options->source, &watch->choice, &watch->list, error) &&
	       print_new(watch, error);
}

/* Says that the watch is lost, once until it works again. */
static void report_lost(struct exit_watch *watch, const struct error *error, unsigned failures)
{
	if (failures == 1 && !watch->expired)
		message(watch->options->command, "%s; trying again", error->message);
}

/* One list or one watch. False: it failed. */
static bool go_on(struct exit_watch *watch, enum child_end *ret_end, struct error *error)
{
	*ret_end = CHILD_EXITED;
	if (watch->expired) {
		if (!reload(watch, error))
			return false;
		watch->expired = false;
	}
	watch->heard = false;
	bool done = run_watch(watch, ret_end, error);
	watch->expired = watch->expired || (!done && is_expired(error));
	return done;
}

/* It is over: it was interrupted, nobody reads what it prints, or that cannot be written. */
static bool is_over(const struct exit_watch *watch, const struct error *error, int *ret_status)
{
	if (watch->ended && !watch->unread) {
		message(watch->options->command, "%s", error->message);
		*ret_status = EXIT_FAILED;
		return true;
	}
	*ret_status = EXIT_OK;
	return watch->ended || interrupt_wait(&watch->interrupt, 0);
}

static int watch_for_ever(struct exit_watch *watch)
{
	int status;
	unsigned failures = 0;
	for (;;) {
		struct error error = {""};
		enum child_end end;
		int64_t start = clock_now();
		bool done = go_on(watch, &end, &error);
		if (is_over(watch, &error, &status))
			return status;
		bool lasted = watch->heard || clock_now() - start >= LASTING;
		failures = done && lasted ? 0 : lasted ? 1 : failures + 1;
		if (!done)
			report_lost(watch, &error, failures);
		if (failures == 0)
			continue;
		unsigned doublings = failures < 6 ? failures - 1 : 5;
		int wait = WAIT_MIN_MS << doublings;
		if (interrupt_wait(&watch->interrupt, wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS))
			return EXIT_OK;
	}
}

int exit_watch(struct record_options *options)
{
	struct error error;
	struct exit_watch watch = {
	        .options = options,
	        .choice = {record_is_chosen, options, record_output_is_for_machines(options)},
	        .table = {.namespaces = options->source.namespace == NULL,
	                  .wide = options->output == RECORDS_WIDE,
	                  .no_titles = options->no_headers,
	                  .color = options->color},
	        .first = true,
	        .arena = arena_new(4 * EVENT_MAX),
	};
	watch.table.memory = &watch.memory;
	options->source.kubectl.interrupt = &watch.interrupt;
	int status = EXIT_FAILED;
	bool ready = watch.arena != NULL || error_set(&error, "no memory");
	if (!ready || !interrupt_begin(&watch.interrupt, &error))
		message(options->command, "%s", error.message);
	else if (reload(&watch, &error))
		status = watch_for_ever(&watch);
	else if (!is_over(&watch, &error, &status)) {
		message(options->command, "%s", error.message);
		status = EXIT_FAILED;
	}
	options->source.kubectl.interrupt = NULL;
	exit_list_free(&watch.list);
	printed_records_free(&watch.printed);
	arena_free(watch.arena);
	return status;
}
