#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int least_level = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_set_level(enum log_level level)
{
	atomic_store(&least_level, (int)level);
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (strcmp(level_names[i], text) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* RFC 3339 in UTC with milliseconds. */
static void format_now(char *text, size_t size)
{
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t length = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + length, size - length, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Room kept for the end of a line that was cut. */
static const char truncation[] = ",\"truncated\":true}\n";

void log_begin(struct log_line *line, enum log_level level, const char *message)
{
	line->wanted = (int)level >= atomic_load(&least_level);
	if (!line->wanted)
		return;
	char now[40];
	format_now(now, sizeof now);
	buffer_init_fixed(&line->text, line->storage, sizeof line->storage - sizeof truncation);
	json_writer_init(&line->writer, &line->text);
	line->writer.safe_text = true;
	json_write_object_begin(&line->writer);
	json_write_member(&line->writer, "time", now);
	json_write_member(&line->writer, "level", level_names[level]);
	json_write_member(&line->writer, "message", message);
}

/* A field that does not fit is taken back whole, so that the line stays JSON. */
static void keep_whole(struct log_line *line, size_t length)
{
	if (!buffer_ok(&line->text))
		buffer_truncate(&line->text, length);
}

void log_text(struct log_line *line, const char *key, const char *value)
{
	if (!line->wanted || value == NULL)
		return;
	size_t length = line->text.length;
	json_write_member(&line->writer, key, value);
	keep_whole(line, length);
}

void log_integer(struct log_line *line, const char *key, int64_t value)
{
	if (!line->wanted)
		return;
	size_t length = line->text.length;
	json_write_member_integer(&line->writer, key, value);
	keep_whole(line, length);
}

void log_json(struct log_line *line, const char *key, const char *json)
{
	if (!line->wanted || json == NULL)
		return;
	size_t length = line->text.length;
	json_write_key(&line->writer, key);
	json_write_raw(&line->writer, json, strlen(json));
	keep_whole(line, length);
}

void log_end(struct log_line *line)
{
	if (!line->wanted)
		return;
	bool cut = !buffer_ok(&line->text);
	line->text.failed = false;
	line->text.capacity = sizeof line->storage;
	line->text.limit = sizeof line->storage - 1;
	buffer_append_text(&line->text, cut ? truncation : "}\n");
	/* A log that cannot be written has nowhere to say so. */
	ssize_t written = write(STDERR_FILENO, line->text.data, line->text.length);
	(void)written;
}

void log_message(enum log_level level, const char *message, ...)
{
	struct log_line line;
	log_begin(&line, level, message);
	va_list fields;
	va_start(fields, message);
	const char *key;
	while ((key = va_arg(fields, const char *)) != NULL)
		log_text(&line, key, va_arg(fields, const char *));
	va_end(fields);
	log_end(&line);
}

int log_cannot_start(const struct error *error)
{
	log_message(LOG_ERROR, "cannot start", "error", error->message, NULL);
	return EXIT_FAILURE;
}

bool log_limit_pass_at(struct log_limit *limit, const struct log_rate *rate, int64_t now,
                       uint64_t *ret_dropped)
{
	/* Each line costs its share of a second; a burst of them may be on credit. */
	const int64_t cost = SECOND / rate->each_second;
	int64_t next = atomic_load(&limit->next);
	int64_t after;
	do {
		int64_t from = next > now ? next : now;
		after = from + cost;
		if (after > now + rate->burst * cost) {
			atomic_fetch_add(&limit->dropped, 1);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&limit->next, &next, after));
	*ret_dropped = atomic_exchange(&limit->dropped, 0);
	return true;
}

bool log_limit_pass(struct log_limit *limit, uint64_t *ret_dropped)
{
	static const struct log_rate rate = {.each_second = 1, .burst = LOG_LIMIT_BURST};
	return log_limit_pass_at(limit, &rate, clock_now(), ret_dropped);
}
