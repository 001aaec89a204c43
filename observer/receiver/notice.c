#include "observer/receiver/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/base/nearest.h"
#include "lib/base/timestamp.h"

bool notice_is_silent(const struct agent_exit *exit)
{
	return agent_exit_find_condition(exit, AGENT_EXIT_SILENT) != NULL;
}

int64_t notice_over_at(const struct agent_exit *exit, bool silent_only)
{
	const struct agent_exit_condition *silent =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	if (exit->resolved_at != AGENT_EXIT_UNKNOWN)
		return exit->resolved_at;
	if (silent_only && silent != NULL && strcmp(silent->status, "False") == 0)
		return silent->last_transition_time;
	return AGENT_EXIT_UNKNOWN;
}

int64_t notice_time(const struct agent_exit *exit)
{
	return exit->finished_at != AGENT_EXIT_UNKNOWN ? exit->finished_at : exit->created_at;
}

static const char *severity(const struct notice *notice)
{
	return notice_is_silent(notice->exit) ? "critical" : "error";
}

static bool is_text(const char *text)
{
	return text != NULL && text[0] != '\0';
}

const char *notice_text(const struct agent_exit *exit)
{
	return is_text(exit->payload_snippet) ? exit->payload_snippet
	       : is_text(exit->summary)       ? exit->summary
	       : is_text(exit->error_type)    ? exit->error_type
	                                      : "unknown";
}

void notice_id(const struct notice *notice, char ret_id[NOTICE_ID_SIZE])
{
	const struct agent_exit *exit = notice->exit;
	bool never = exit->error_type != NULL && strcmp(exit->error_type, "NeverStarted") == 0;
	snprintf(ret_id, NOTICE_ID_SIZE, "%.64s.%.63s.%s%" PRId64 "%s%s",
	         exit->uid == NULL ? "" : exit->uid, exit->container == NULL ? "" : exit->container,
	         never ? "never-" : "", exit->restart_count,
	         notice->settings->filter.silent_only ? ".silent" : "",
	         notice->resolved ? ".resolved" : "");
}

static void write_title(const struct notice *notice, struct buffer *out)
{
	const struct agent_exit *exit = notice->exit;
	buffer_printf(out, "%s%s%.32s: %.40s in %.63s/%.80s", notice->resolved ? "Resolved: " : "",
	              notice_is_silent(exit) ? "silent " : "",
	              exit->error_type == NULL ? "failure" : exit->error_type,
	              is_text(exit->agent)      ? exit->agent
	              : exit->container != NULL ? exit->container
	                                        : "agent",
	              exit->namespace == NULL ? "" : exit->namespace,
	              exit->pod == NULL ? "" : exit->pod);
}

static void write_command(const struct notice *notice, struct buffer *out)
{
	buffer_printf(out, "kubectl lastword why -n %s %s",
	              notice->exit->namespace == NULL ? "" : notice->exit->namespace,
	              notice->exit->pod == NULL ? "" : notice->exit->pod);
}

/* ---- Fields that are not the record's ---- */

enum own_field {
	OWN_ACTION,
	OWN_COMMAND,
	OWN_ID,
	OWN_IDENTITY,
	OWN_RECORD,
	OWN_RESOLVED_AT,
	OWN_SEVERITY,
	OWN_SILENT,
	OWN_SIMILAR,
	OWN_STATUS,
	OWN_TEXT,
	OWN_TIME,
	OWN_TITLE,
	OWN_COUNT
};

static const char *const own_names[OWN_COUNT] = {
        [OWN_ACTION] = "action",
        [OWN_COMMAND] = "command",
        [OWN_ID] = "id",
        [OWN_RECORD] = "record",
        [OWN_RESOLVED_AT] = "resolvedAt",
        [OWN_SEVERITY] = "severity",
        [OWN_SILENT] = "silent",
        [OWN_SIMILAR] = "similar",
        [OWN_STATUS] = "status",
        [OWN_TEXT] = "text",
        [OWN_TIME] = "time",
        [OWN_TITLE] = "title",
        [OWN_IDENTITY] = "identity",
};

static enum own_field find_own(const char *name)
{
	int i = 0;
	while (i < OWN_COUNT && strcmp(own_names[i], name) != 0)
		i++;
	return (enum own_field)i;
}

static void append_time(struct buffer *out, int64_t time)
{
	char text[TIMESTAMP_SIZE];
	if (time == AGENT_EXIT_UNKNOWN)
		return;
	timestamp_print(time, text);
	buffer_append_text(out, text);
}

static void append_id(const struct notice *notice, struct buffer *out)
{
	char id[NOTICE_ID_SIZE];
	notice_id(notice, id);
	buffer_append_text(out, id);
}

static void append_identity(const struct notice *notice, struct buffer *out)
{
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	agent_exit_identity(notice->exit, identity);
	buffer_append_text(out, identity);
}

static void append_own(const struct notice *notice, enum own_field field, struct buffer *out)
{
	const struct agent_exit *exit = notice->exit;
	switch (field) {
	case OWN_ACTION:
		buffer_append_text(out, notice->resolved ? "resolve" : "trigger");
		return;
	case OWN_COMMAND:
		write_command(notice, out);
		return;
	case OWN_ID:
		append_id(notice, out);
		return;
	case OWN_IDENTITY:
		append_identity(notice, out);
		return;
	case OWN_RECORD:
		buffer_append_text(out, exit->name == NULL ? "" : exit->name);
		return;
	case OWN_RESOLVED_AT:
		append_time(out, notice_over_at(exit, notice->settings->filter.silent_only));
		return;
	case OWN_SEVERITY:
		buffer_append_text(out, severity(notice));
		return;
	case OWN_SILENT:
		buffer_append_text(out, notice_is_silent(exit) ? "true" : "false");
		return;
	case OWN_SIMILAR:
		buffer_printf(out, "%zu", notice->similar);
		return;
	case OWN_STATUS:
		buffer_append_text(out, notice->resolved ? "resolved" : "firing");
		return;
	case OWN_TEXT:
		buffer_append_text(out, notice_text(exit));
		return;
	case OWN_TIME:
		append_time(out, notice_time(exit));
		return;
	case OWN_TITLE:
		write_title(notice, out);
		return;
	default:
		return;
	}
}

/* ---- Fields of the record ---- */

static const struct agent_exit_field *find_field(const char *name)
{
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0 && fields[i].type != AGENT_EXIT_TEXT_END &&
		    fields[i].type != AGENT_EXIT_CONTEXT)
			return &fields[i];
	return NULL;
}

static const void *place_of(const struct notice *notice, const struct agent_exit_field *field)
{
	return (const char *)notice->exit + field->offset;
}

static void append_seconds(struct buffer *out, int64_t nanoseconds)
{
	struct json_writer writer;
	if (nanoseconds < 0)
		return;
	json_writer_init(&writer, out);
	json_write_micros(&writer, nanoseconds / 1000);
}

static void append_record_field(const struct notice *notice, const struct agent_exit_field *field,
                                struct buffer *out)
{
	const char *text;
	int64_t number;
	switch (field->type) {
	case AGENT_EXIT_BOOL:
		buffer_append_text(out, *(const bool *)place_of(notice, field) ? "true" : "false");
		return;
	case AGENT_EXIT_CONTAINERS:
		for (size_t i = 0; i < notice->exit->running_container_count; i++)
			buffer_printf(out, "%s%s", i == 0 ? "" : ", ",
			              notice->exit->running_containers[i]);
		return;
	case AGENT_EXIT_TEXT:
		memcpy(&text, place_of(notice, field), sizeof(char *));
		buffer_append_text(out, text == NULL ? "" : text);
		return;
	default:
		memcpy(&number, place_of(notice, field), sizeof number);
		if (number == AGENT_EXIT_UNKNOWN)
			return;
		if (field->type == AGENT_EXIT_TIME)
			append_time(out, number);
		else if (field->type == AGENT_EXIT_SECONDS)
			append_seconds(out, number);
		else
			buffer_printf(out, "%" PRId64, number);
	}
}

/* ---- Fields with a dot ---- */

/* The rest of the name behind "prefix."; NULL: it does not begin so. */
static const char *after(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);
	return strncmp(name, prefix, length) == 0 && name[length] == '.' ? name + length + 1 : NULL;
}

static size_t find_value(const struct receiver_values *values, const char *name)
{
	size_t i = 0;
	while (i < values->count && strcmp(values->items[i].name, name) != 0)
		i++;
	return i;
}

static void append_dotted(const struct notice *notice, const char *name, struct buffer *out)
{
	const struct agent_exit *exit = notice->exit;
	const struct receiver_settings *settings = notice->settings;
	const char *rest = after(name, "context");
	for (size_t i = 0; rest != NULL && i < exit->context_count; i++)
		if (strcmp(exit->context[i].key, rest) == 0)
			buffer_append_text(out, exit->context[i].value);
	rest = after(name, "labels");
	size_t label = rest == NULL ? settings->labels.count : find_value(&settings->labels, rest);
	if (label < settings->labels.count)
		buffer_append_text(out, settings->labels.items[label].value);
	rest = after(name, "parameters");
	size_t parameter =
	        rest == NULL ? settings->parameters.count : find_value(&settings->parameters, rest);
	if (parameter < settings->parameters.count && notice->parameters != NULL)
		buffer_append_text(out, notice->parameters[parameter]);
}

/* ---- What templates use ---- */

static void write_text(void *context, const char *name, struct buffer *out)
{
	const struct notice *notice = context;
	const struct agent_exit_field *field = find_field(name);
	if (find_own(name) != OWN_COUNT)
		append_own(notice, find_own(name), out);
	else if (field != NULL)
		append_record_field(notice, field, out);
	else
		append_dotted(notice, name, out);
}

static void write_json(void *context, const char *name, struct json_writer *writer)
{
	struct buffer _cleanup_buffer_ text;
	const struct agent_exit_field *field = find_field(name);
	enum own_field own = find_own(name);
	bool bare = own == OWN_SILENT || own == OWN_SIMILAR ||
	            (field != NULL && field->type != AGENT_EXIT_TEXT &&
	             field->type != AGENT_EXIT_TIME && field->type != AGENT_EXIT_CONTAINERS);
	buffer_init(&text, (size_t)64 * 1024);
	write_text(context, name, &text);
	if (text.length == 0)
		json_write_null(writer);
	else if (bare)
		json_write_raw(writer, text.data, text.length);
	else
		json_write_string_n(writer, text.data, text.length);
}

bool notice_check_field(void *settings, const char *name, struct error *error)
{
	const struct receiver_settings *s = settings;
	struct nearest nearest = {.text = name};
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	const char *label = after(name, "labels");
	const char *parameter = after(name, "parameters");
	if (find_own(name) != OWN_COUNT || find_field(name) != NULL ||
	    after(name, "context") != NULL)
		return true;
	if (label != NULL)
		return find_value(&s->labels, label) < s->labels.count ||
		       error_set(error, "there is no label \"%s\" in labels", label);
	if (parameter != NULL)
		return find_value(&s->parameters, parameter) < s->parameters.count ||
		       error_set(error, "there is no parameter \"%s\" in parameters", parameter);
	for (size_t i = 0; i < OWN_COUNT; i++)
		nearest_offer(&nearest, own_names[i]);
	for (size_t i = 0; i < count; i++)
		if (find_field(fields[i].name) != NULL)
			nearest_offer(&nearest, fields[i].name);
	return error_set(error, "unknown field \"%s\"%s%s%s", name,
	                 nearest.word == NULL ? "" : "; did you mean ",
	                 nearest.word == NULL ? "" : nearest.word, nearest.word == NULL ? "" : "?");
}

const struct template_fields notice_fields = {
        .write_text = write_text, .write_json = write_json, .check = notice_check_field};
