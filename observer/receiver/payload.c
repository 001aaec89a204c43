#include "observer/receiver/payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"

size_t payload_batch(enum receiver_type type)
{
	return type == RECEIVER_WEBHOOK || type == RECEIVER_CLOUDEVENTS ? 1 : PAYLOAD_BATCH_MAX;
}

const char *payload_content_type(const struct receiver_settings *settings)
{
	return settings->type == RECEIVER_CLOUDEVENTS && !settings->binary
	               ? "application/cloudevents+json"
	               : "application/json";
}

/* The field's text, as templates have it; without it nothing. */
static void write_field(struct json_writer *writer, const char *key, const struct notice *notice,
                        const char *field)
{
	char storage[2048];
	struct buffer text;
	buffer_init_fixed(&text, storage, sizeof storage);
	notice_fields.write_text((void *)(uintptr_t)notice, field, &text);
	if (text.length > 0)
		json_write_member(writer, key, buffer_text(&text));
}

/* The moment that a notice is about. */
static int64_t moment_of(const struct notice *notice)
{
	int64_t over = notice_over_at(notice->exit, notice->settings->filter.silent_only);
	return notice->resolved && over != AGENT_EXIT_UNKNOWN ? over : notice_time(notice->exit);
}

/* ---- OTLP: https://opentelemetry.io/docs/specs/otlp/#otlphttp ---- */

#define SEVERITY_INFO  9
#define SEVERITY_ERROR 17
#define SEVERITY_FATAL 21

bool payload_traceparent_valid(const char *text)
{
	static const char shape[] = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
	size_t i = 0;
	if (text == NULL)
		return false;
	for (; shape[i] != '\0'; i++) {
		char c = text[i];
		bool hex = ascii_is_digit(c) || (c >= 'a' && c <= 'f');
		if (shape[i] == 'h' ? !hex : c != shape[i])
			return false;
	}
	/* Ids of zeroes alone are not valid. */
	return text[i] == '\0' && strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16;
}

static void begin_attribute(struct json_writer *writer, const char *key)
{
	json_write_object_begin(writer);
	json_write_member(writer, "key", key);
	json_write_key(writer, "value");
	json_write_object_begin(writer);
}

static void end_attribute(struct json_writer *writer)
{
	json_write_object_end(writer);
	json_write_object_end(writer);
}

static void attribute_text(struct json_writer *writer, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	begin_attribute(writer, key);
	json_write_member(writer, "stringValue", text);
	end_attribute(writer);
}

/* int64 is a string in the JSON form of protobuf. */
static void attribute_number(struct json_writer *writer, const char *key, int64_t number)
{
	char text[32];
	if (number == AGENT_EXIT_UNKNOWN)
		return;
	snprintf(text, sizeof text, "%" PRId64, number);
	begin_attribute(writer, key);
	json_write_member(writer, "intValue", text);
	end_attribute(writer);
}

static void attribute_field(struct json_writer *writer, const char *key,
                            const struct notice *notice, const char *field)
{
	char storage[NOTICE_ID_SIZE];
	struct buffer text;
	buffer_init_fixed(&text, storage, sizeof storage);
	notice_fields.write_text((void *)(uintptr_t)notice, field, &text);
	attribute_text(writer, key, buffer_text(&text));
}

static void write_resource(struct json_writer *writer, const struct notice *notice)
{
	const struct agent_exit *exit = notice->exit;
	json_write_key(writer, "resource");
	json_write_object_begin(writer);
	json_write_key(writer, "attributes");
	json_write_array_begin(writer);
	attribute_text(writer, "service.name",
	               exit->agent != NULL && exit->agent[0] != '\0' ? exit->agent
	                                                             : exit->container);
	attribute_text(writer, "k8s.namespace.name", exit->namespace);
	attribute_text(writer, "k8s.pod.name", exit->pod);
	attribute_text(writer, "k8s.pod.uid", exit->uid);
	attribute_text(writer, "k8s.node.name", exit->node);
	attribute_text(writer, "k8s.container.name", exit->container);
	attribute_number(writer, "k8s.container.restart_count", exit->restart_count);
	for (size_t i = 0; i < notice->settings->labels.count; i++)
		attribute_text(writer, notice->settings->labels.items[i].name,
		               notice->settings->labels.items[i].value);
	json_write_array_end(writer);
	json_write_object_end(writer);
}

static void write_attributes(struct json_writer *writer, const struct notice *notice)
{
	const struct agent_exit *exit = notice->exit;
	json_write_key(writer, "attributes");
	json_write_array_begin(writer);
	attribute_field(writer, "log.record.uid", notice, "id");
	attribute_number(writer, "process.exit.code", exit->exit_code);
	attribute_text(writer, "exception.type", exit->error_type);
	attribute_text(writer, "exception.message", notice_text(exit));
	attribute_text(writer, "lastword.record", exit->name);
	attribute_text(writer, "lastword.detail", exit->detail);
	attribute_text(writer, "lastword.signal", exit->signal);
	attribute_text(writer, "lastword.owner", exit->owner);
	attribute_text(writer, "lastword.task_id", exit->task_id);
	attribute_text(writer, "lastword.workflow_id", exit->workflow_id);
	attribute_text(writer, "lastword.fingerprint", exit->fingerprint);
	attribute_text(writer, "lastword.source", exit->source);
	attribute_field(writer, "lastword.silent", notice, "silent");
	attribute_field(writer, "lastword.status", notice, "status");
	json_write_array_end(writer);
}

/* The trace that the agent ran in, where the configuration's context has it. */
static void write_trace(struct json_writer *writer, const struct agent_exit *exit)
{
	for (size_t i = 0; i < exit->context_count; i++) {
		const char *value = exit->context[i].value;
		if (strcasecmp(exit->context[i].key, "traceparent") != 0 ||
		    !payload_traceparent_valid(value))
			continue;
		json_write_key(writer, "traceId");
		json_write_string_n(writer, value + 3, 32);
		json_write_key(writer, "spanId");
		json_write_string_n(writer, value + 36, 16);
		json_write_member_integer(writer, "flags", value[54] == '1' ? 1 : 0);
		return;
	}
}

static void write_unix_nano(struct json_writer *writer, const char *key, int64_t time)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRId64, time < 0 ? 0 : time);
	json_write_member(writer, key, text);
}

static void write_log_record(struct json_writer *writer, const struct notice *notice, int64_t wall)
{
	bool silent = notice_is_silent(notice->exit);
	json_write_object_begin(writer);
	write_unix_nano(writer, "timeUnixNano", moment_of(notice));
	write_unix_nano(writer, "observedTimeUnixNano", wall);
	json_write_member_integer(writer, "severityNumber",
	                          notice->resolved ? SEVERITY_INFO
	                          : silent         ? SEVERITY_FATAL
	                                           : SEVERITY_ERROR);
	json_write_member(writer, "severityText",
	                  notice->resolved ? "INFO"
	                  : silent         ? "FATAL"
	                                   : "ERROR");
	json_write_member(writer, "eventName",
	                  notice->resolved ? "lastword.agent_exit.resolved"
	                                   : "lastword.agent_exit");
	json_write_key(writer, "body");
	json_write_object_begin(writer);
	write_field(writer, "stringValue", notice, "title");
	json_write_object_end(writer);
	write_attributes(writer, notice);
	write_trace(writer, notice->exit);
	json_write_object_end(writer);
}

static void write_otlp(struct json_writer *writer, const struct notice *notices, size_t count,
                       int64_t wall)
{
	json_write_object_begin(writer);
	json_write_key(writer, "resourceLogs");
	json_write_array_begin(writer);
	for (size_t i = 0; i < count; i++) {
		json_write_object_begin(writer);
		write_resource(writer, &notices[i]);
		json_write_key(writer, "scopeLogs");
		json_write_array_begin(writer);
		json_write_object_begin(writer);
		json_write_key(writer, "scope");
		json_write_object_begin(writer);
		json_write_member(writer, "name", "lastword.dev/observer");
		json_write_member(writer, "version", LASTWORD_VERSION);
		json_write_object_end(writer);
		json_write_key(writer, "logRecords");
		json_write_array_begin(writer);
		write_log_record(writer, &notices[i], wall);
		json_write_array_end(writer);
		json_write_object_end(writer);
		json_write_array_end(writer);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
	json_write_object_end(writer);
}

/* ---- Alertmanager ---- */

static void write_settings_labels(struct json_writer *writer, const struct notice *notice)
{
	for (size_t i = 0; i < notice->settings->labels.count; i++)
		json_write_member(writer, notice->settings->labels.items[i].name,
		                  notice->settings->labels.items[i].value);
}

/* No label has what differs from run to run: the failures of an agent are one alert. An empty label
 * is none. */
static void write_alert_labels(struct json_writer *writer, const struct notice *notice)
{
	const struct agent_exit *exit = notice->exit;
	bool silent_only = notice->settings->filter.silent_only;
	json_write_key(writer, "labels");
	json_write_object_begin(writer);
	json_write_member(writer, "alertname",
	                  silent_only ? "LastwordAgentSilent" : "LastwordAgentFailed");
	json_write_member(writer, "severity", silent_only ? "critical" : "error");
	write_field(writer, "namespace", notice, "namespace");
	write_field(writer, "agent", notice, "agent");
	write_field(writer, "container", notice, "container");
	write_field(writer, "identity", notice, "identity");
	write_field(writer, "cause", notice, "errorType");
	if (exit->task_id != NULL)
		write_field(writer, "task_id", notice, "taskId");
	write_settings_labels(writer, notice);
	json_write_object_end(writer);
}

void payload_write_alert(const struct notice *notice, int64_t ends_at, struct json_writer *writer)
{
	json_write_object_begin(writer);
	write_alert_labels(writer, notice);
	json_write_key(writer, "annotations");
	json_write_object_begin(writer);
	write_field(writer, "summary", notice, "title");
	write_field(writer, "description", notice, "summary");
	write_field(writer, "snippet", notice, "text");
	write_field(writer, "pod", notice, "pod");
	write_field(writer, "record", notice, "record");
	write_field(writer, "command", notice, "command");
	json_write_object_end(writer);
	json_write_member_time(writer, "startsAt", notice_time(notice->exit));
	json_write_member_time(writer, "endsAt", ends_at);
	json_write_object_end(writer);
}

static void write_alerts(struct json_writer *writer, const struct notice *notices, size_t count,
                         int64_t wall)
{
	json_write_array_begin(writer);
	for (size_t i = 0; i < count; i++)
		payload_write_alert(&notices[i],
		                    notices[i].resolved ? wall : wall + PAYLOAD_ALERT_LASTS,
		                    writer);
	json_write_array_end(writer);
}

/* ---- The record as JSON, for Loki's line and the data of CloudEvents ---- */

static void write_record(struct json_writer *writer, const struct notice *notice)
{
	static const char *const own[] = {"id",     "status",  "severity",
	                                  "record", "command", "resolvedAt"};
	size_t count;
	const struct agent_exit_field *fields = agent_exit_fields(&count);
	json_write_object_begin(writer);
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		write_field(writer, own[i], notice, own[i]);
	json_write_key(writer, "silent");
	json_write_bool(writer, notice_is_silent(notice->exit));
	for (size_t i = 0; i < count; i++) {
		char storage[1200];
		struct buffer text;
		if (!notice_check_field((void *)(uintptr_t)notice->settings, fields[i].name, NULL))
			continue;
		buffer_init_fixed(&text, storage, sizeof storage);
		notice_fields.write_text((void *)(uintptr_t)notice, fields[i].name, &text);
		if (text.length == 0)
			continue;
		json_write_key(writer, fields[i].name);
		notice_fields.write_json((void *)(uintptr_t)notice, fields[i].name, writer);
	}
	json_write_object_end(writer);
}

/* ---- Loki ---- */

static void write_stream(struct json_writer *writer, const struct notice *notice)
{
	struct json_writer line_writer;
	struct buffer _cleanup_buffer_ line;
	char time[32];
	buffer_init(&line, (size_t)64 * 1024);
	json_writer_init(&line_writer, &line);
	line_writer.safe_text = true;
	write_record(&line_writer, notice);
	snprintf(time, sizeof time, "%" PRId64, moment_of(notice));
	json_write_object_begin(writer);
	json_write_key(writer, "stream");
	json_write_object_begin(writer);
	json_write_member(writer, "job", "lastword");
	write_field(writer, "namespace", notice, "namespace");
	write_settings_labels(writer, notice);
	json_write_object_end(writer);
	json_write_key(writer, "values");
	json_write_array_begin(writer);
	json_write_array_begin(writer);
	json_write_string(writer, time);
	json_write_string(writer, buffer_text(&line));
	json_write_array_end(writer);
	json_write_array_end(writer);
	json_write_object_end(writer);
}

static void write_loki(struct json_writer *writer, const struct notice *notices, size_t count)
{
	json_write_object_begin(writer);
	json_write_key(writer, "streams");
	json_write_array_begin(writer);
	for (size_t i = 0; i < count; i++)
		write_stream(writer, &notices[i]);
	json_write_array_end(writer);
	json_write_object_end(writer);
}

/* ---- CloudEvents: https://github.com/cloudevents/spec, HTTP protocol binding 1.0.2 ---- */

#define ATTRIBUTE_SIZE 400 /* NOTICE_ID_SIZE and more */

static const char *event_id(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	notice_id(notice, storage);
	return storage;
}

static const char *event_source(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	snprintf(storage, ATTRIBUTE_SIZE,
	         "/apis/" AGENT_EXIT_API_VERSION "/namespaces/%.63s/" AGENT_EXIT_PLURAL,
	         notice->exit->namespace == NULL ? "" : notice->exit->namespace);
	return storage;
}

static const char *event_type(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	(void)storage;
	return notice->resolved                       ? "dev.lastword.agentexit.resolved"
	       : notice->settings->filter.silent_only ? "dev.lastword.agentexit.silent"
	                                              : "dev.lastword.agentexit.failed";
}

static const char *event_subject(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	(void)storage;
	return notice->exit->name;
}

static const char *event_time(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	timestamp_print(moment_of(notice), storage);
	return storage;
}

static const char *event_spec(const struct notice *notice, char storage[ATTRIBUTE_SIZE])
{
	(void)notice;
	(void)storage;
	return "1.0";
}

static const struct {
	const char *name;
	const char *(*text)(const struct notice *notice, char storage[ATTRIBUTE_SIZE]);
} attributes[] = {{"specversion", event_spec}, {"id", event_id},           {"source", event_source},
                  {"type", event_type},        {"subject", event_subject}, {"time", event_time}};

static void write_event(struct json_writer *writer, const struct notice *notice)
{
	char storage[ATTRIBUTE_SIZE];
	if (notice->settings->binary) {
		write_record(writer, notice);
		return;
	}
	json_write_object_begin(writer);
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
		json_write_member(writer, attributes[i].name, attributes[i].text(notice, storage));
	json_write_member(writer, "datacontenttype", "application/json");
	json_write_key(writer, "data");
	write_record(writer, notice);
	json_write_object_end(writer);
}

bool payload_header(const struct notice *notice, size_t number, struct buffer *out)
{
	char storage[ATTRIBUTE_SIZE];
	if (notice->settings->type != RECEIVER_CLOUDEVENTS || !notice->settings->binary ||
	    number >= sizeof attributes / sizeof attributes[0])
		return false;
	const char *text = attributes[number].text(notice, storage);
	buffer_printf(out, "ce-%s: ", attributes[number].name);
	/* HTTP protocol binding, section 3.1.3.2: so a text ends no line either. */
	for (; text != NULL && *text != '\0'; text++) {
		if (*text > ' ' && *text < 0x7f && *text != '"' && *text != '%')
			buffer_append_char(out, *text);
		else
			buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
	}
	return true;
}

/* ---- All ---- */

void payload_write(const struct notice *notices, size_t count, int64_t wall, struct buffer *out)
{
	struct json_writer writer;
	struct template_fields fields = notice_fields;
	json_writer_init(&writer, out);
	writer.safe_text = true;
	switch (notices[0].settings->type) {
	case RECEIVER_OTLP:
		write_otlp(&writer, notices, count, wall);
		return;
	case RECEIVER_ALERTMANAGER:
		write_alerts(&writer, notices, count, wall);
		return;
	case RECEIVER_LOKI:
		write_loki(&writer, notices, count);
		return;
	case RECEIVER_CLOUDEVENTS:
		write_event(&writer, &notices[0]);
		return;
	default:
		fields.context = (void *)(uintptr_t)&notices[0];
		template_write(notices[0].settings->body, &fields, out);
	}
}
