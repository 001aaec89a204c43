#include "lib/kube/agent_exit.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"
#include "lib/base/utf8.h"

#define CONTEXT_KEY_MAX   ((size_t)63)
#define CONTEXT_VALUE_MAX ((size_t)1024)

#define FIELD(name, key, member, origin, type, limit, required)                          \
	{                                                                                \
		name, key, AGENT_EXIT_FROM_##origin, AGENT_EXIT_##type, limit, required, \
		        offsetof(struct agent_exit, member)                              \
	}

/* In the order of the CRD and of the record. */
static const struct agent_exit_field fields[] = {
        FIELD("pod", "pod", pod, REPORT, TEXT, 253, true),
        FIELD("namespace", "namespace", namespace, REPORT, TEXT, 63, false),
        FIELD("uid", "uid", uid, REPORT, TEXT, 64, true),
        FIELD("node", "node", node, REPORT, TEXT, 253, false),
        FIELD("owner", "owner", owner, REPORT, TEXT, 320, false),
        FIELD("container", "container", container, REPORT, TEXT, 63, true),
        FIELD("restartCount", "restart_count", restart_count, OBSERVER, COUNT, 0, true),
        FIELD("taskId", "task_id", task_id, CONTEXT, TEXT, 256, false),
        FIELD("workflowId", "workflow_id", workflow_id, CONTEXT, TEXT, 256, false),
        FIELD("agent", "agent", agent, CONTEXT, TEXT, 256, false),
        FIELD("context", "context", context, OBSERVER, CONTEXT, CONTEXT_VALUE_MAX, false),
        FIELD("errorType", "error_type", error_type, REPORT, TEXT, 32, true),
        FIELD("detail", "detail", detail, REPORT, TEXT, 32, false),
        FIELD("evidence", "evidence", evidence, REPORT, TEXT, 64, false),
        FIELD("exitCode", "exit_code", exit_code, REPORT, INTEGER, 0, false),
        FIELD("signal", "signal", signal, REPORT, TEXT, 16, false),
        FIELD("summary", "summary", summary, REPORT, TEXT, 200, false),
        FIELD("payloadSnippet", "payload_snippet", payload_snippet, REPORT, TEXT, 512, false),
        FIELD("fingerprint", "fingerprint", fingerprint, REPORT, TEXT, 16, false),
        FIELD("runningContainers", "running_containers", running_containers, OBSERVER, CONTAINERS,
              63, false),
        FIELD("final", "final", final, OBSERVER, BOOL, 0, false),
        FIELD("source", "source", source, REPORT, TEXT, 32, true),
        FIELD("startedAt", "started_at", started_at, REPORT, TIME, 0, false),
        FIELD("finishedAt", "finished_at", finished_at, REPORT, TIME, 0, false),
        FIELD("durationSeconds", "duration_seconds", duration, REPORT, SECONDS, 0, false),
        FIELD("cpuSeconds", "cpu_seconds", cpu, REPORT, SECONDS, 0, false),
        FIELD("maxRssBytes", "max_rss_bytes", max_rss_bytes, REPORT, COUNT, 0, false),
        FIELD("oomKills", "oom_kills", oom_kills, REPORT, COUNT, 0, false),
        FIELD("silences", "silences", silences, REPORT, COUNT, 0, false),
        FIELD("deadlineExceededAt", "deadline_exceeded_at", deadline_exceeded_at, REPORT, TIME, 0,
              false),
        FIELD("reason", "reason", reason, OBSERVER, TEXT, 256, false),
        FIELD("message", "message", message, OBSERVER, TEXT, 1024, false),
        FIELD("podReason", "pod_reason", pod_reason, OBSERVER, TEXT, 256, false),
        FIELD("disruption", "disruption", disruption, OBSERVER, TEXT, 256, false),
        FIELD("shimInstance", "shim_instance", shim_instance, REPORT, COUNT, 0, false),
        FIELD("shimUid", "shim_uid", shim_uid, REPORT, COUNT, 0, false),
        FIELD("reportsLost", "reports_lost", reports_lost, REPORT, COUNT, 0, false),
        FIELD("version", "version", version, REPORT, TEXT, 64, false),
        FIELD("logBytesTotal", "log_bytes_total", log_bytes_total, REPORT, COUNT, 0, false),
        FIELD("logTail", "log_tail", log_tail, REPORT, TEXT_END, 8192, false),
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

const struct agent_exit_field *agent_exit_fields(size_t *ret_count)
{
	*ret_count = FIELD_COUNT;
	return fields;
}

/* Keys of the watchdog's report that are no field of the record. */
static const char *const report_only[] = {"event", "time", "silence_seconds"};

bool agent_exit_key_reserved(const char *key)
{
	for (size_t i = 0; i < sizeof report_only / sizeof report_only[0]; i++)
		if (strcmp(report_only[i], key) == 0)
			return true;
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (strcmp(fields[i].key, key) == 0)
			return fields[i].origin != AGENT_EXIT_FROM_CONTEXT &&
			       fields[i].type != AGENT_EXIT_CONTEXT;
	return false;
}

static bool is_number(enum agent_exit_type type)
{
	return type == AGENT_EXIT_INTEGER || type == AGENT_EXIT_COUNT || type == AGENT_EXIT_TIME ||
	       type == AGENT_EXIT_SECONDS;
}

/* The field's place in the struct, by its type. */
static const char **text_of(const struct agent_exit *exit, const struct agent_exit_field *field)
{
	return (const char **)((char *)(uintptr_t)exit + field->offset);
}

static int64_t *number_of(const struct agent_exit *exit, const struct agent_exit_field *field)
{
	return (int64_t *)(void *)((char *)(uintptr_t)exit + field->offset);
}

static bool *bool_of(const struct agent_exit *exit, const struct agent_exit_field *field)
{
	return (bool *)((char *)(uintptr_t)exit + field->offset);
}

void agent_exit_init(struct agent_exit *exit)
{
	*exit = (struct agent_exit){.created_at = AGENT_EXIT_UNKNOWN,
	                            .resolved_at = AGENT_EXIT_UNKNOWN};
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (is_number(fields[i].type))
			*number_of(exit, &fields[i]) = AGENT_EXIT_UNKNOWN;
}

void agent_exit_add_context(struct agent_exit *exit, const char *key, const char *value)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].origin == AGENT_EXIT_FROM_CONTEXT &&
		    strcmp(fields[i].key, key) == 0) {
			*text_of(exit, &fields[i]) = value;
			return;
		}
	if (exit->context_count < AGENT_EXIT_CONTEXT_MAX)
		exit->context[exit->context_count++] = (struct agent_exit_context){key, value};
}

/* ---- Names and labels ---- */

static bool is_alphanumeric(char character)
{
	return ascii_is_digit(character) || ascii_is_lower(character);
}

/* Appends text as the API server wants a DNS label, which it is already when it comes from there:
 * what is not allowed becomes 0, and 0 alone stands for nothing. dots: may be several labels. */
static void append_label(struct buffer *out, const char *text, size_t length, bool dots)
{
	if (length == 0)
		buffer_append_char(out, '0');
	for (size_t i = 0; i < length; i++) {
		char c = ascii_to_lower(text[i]);
		bool inside = i > 0 && i + 1 < length;
		bool dot = dots && c == '.' && inside && is_alphanumeric(text[i - 1]) &&
		           is_alphanumeric(text[i + 1]);
		bool dash = c == '-' && inside && text[i - 1] != '.' && text[i + 1] != '.';
		buffer_append_char(out, is_alphanumeric(c) || dot || dash ? c : '0');
	}
}

void agent_exit_name(const char *pod, const char *uid, const char *container, int64_t restart_count,
                     bool started, char ret_name[AGENT_EXIT_NAME_SIZE])
{
	char storage[128];
	struct buffer end;
	struct buffer name;
	pod = pod == NULL ? "" : pod;
	uid = uid == NULL ? "" : uid;
	container = container == NULL ? "" : container;

	buffer_init_fixed(&end, storage, sizeof storage);
	buffer_append_char(&end, '.');
	append_label(&end, uid, strnlen(uid, 8), false);
	buffer_append_char(&end, '.');
	append_label(&end, container, strnlen(container, 63), false);
	buffer_printf(&end, ".%s%lld", started ? "" : "never-",
	              (long long)(restart_count < 0 ? 0 : restart_count));

	size_t room = AGENT_EXIT_NAME_SIZE - 1 - end.length;
	size_t length = strnlen(pod, room);
	while (length > 0 && !ascii_is_alnum(pod[length - 1]))
		length--;
	buffer_init_fixed(&name, ret_name, AGENT_EXIT_NAME_SIZE);
	append_label(&name, pod, length, true);
	buffer_append(&name, end.data, end.length);
}

void agent_exit_identity(const struct agent_exit *exit, char ret_identity[AGENT_EXIT_IDENTITY_SIZE])
{
	char storage[1024];
	struct buffer family;
	buffer_init_fixed(&family, storage, sizeof storage);
	if (exit->owner != NULL)
		fingerprint_family(exit->owner, &family);
	else
		buffer_printf(&family, "Pod/%.300s", exit->pod == NULL ? "" : exit->pod);
	bool has_task = exit->task_id != NULL && exit->task_id[0] != '\0';
	const char *const texts[] = {buffer_text(&family), exit->container, exit->agent,
	                             has_task ? "task" : "workflow",
	                             has_task ? exit->task_id : exit->workflow_id};
	fingerprint_of(texts, sizeof texts / sizeof texts[0], ret_identity);
}

void agent_exit_label_value(const char *text, char ret_value[AGENT_EXIT_LABEL_SIZE])
{
	size_t length = 0;
	text = text == NULL ? "" : text;
	while (*text != '\0' && !ascii_is_alnum(*text))
		text++;
	for (; length < AGENT_EXIT_LABEL_SIZE - 1 && text[length] != '\0'; length++) {
		char c = text[length];
		bool allowed = ascii_is_alnum(c) || c == '-' || c == '.';
		ret_value[length] = allowed ? c : '_';
	}
	while (length > 0 && !ascii_is_alnum(ret_value[length - 1]))
		length--;
	ret_value[length] = '\0';
}

/* ---- Writing ---- */

/* At most limit bytes of text, whole characters; the end of it when end is true. */
static void write_cut(struct json_writer *writer, const char *text, size_t limit, bool end)
{
	size_t length = strlen(text);
	if (length > limit && end) {
		text += length - limit;
		for (length = limit; length > 0 && ((unsigned char)*text & 0xc0) == 0x80; length--)
			text++;
	} else if (length > limit) {
		length = limit;
		while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	json_write_string_n(writer, text, length);
}

static void write_text(struct json_writer *writer, const char *key, const char *text, size_t limit)
{
	if (text == NULL)
		return;
	json_write_key(writer, key);
	write_cut(writer, text, limit, false);
}

static void write_context(struct json_writer *writer, const struct agent_exit *exit)
{
	if (exit->context_count == 0)
		return;
	json_write_key(writer, "context");
	json_write_object_begin(writer);
	for (size_t i = 0; i < exit->context_count && i < AGENT_EXIT_CONTEXT_MAX; i++)
		if (strlen(exit->context[i].key) <= CONTEXT_KEY_MAX)
			write_text(writer, exit->context[i].key, exit->context[i].value,
			           CONTEXT_VALUE_MAX);
	json_write_object_end(writer);
}

static void write_containers(struct json_writer *writer, const struct agent_exit *exit,
                             const struct agent_exit_field *field)
{
	if (exit->running_container_count == 0)
		return;
	json_write_key(writer, field->name);
	json_write_array_begin(writer);
	for (size_t i = 0; i < exit->running_container_count && i < AGENT_EXIT_CONTAINERS_MAX; i++)
		write_cut(writer, exit->running_containers[i], field->limit, false);
	json_write_array_end(writer);
}

static void write_number(struct json_writer *writer, const struct agent_exit_field *field,
                         int64_t value)
{
	if (value == AGENT_EXIT_UNKNOWN || (field->type != AGENT_EXIT_INTEGER && value < 0))
		return;
	if (field->type == AGENT_EXIT_TIME) {
		json_write_member_time(writer, field->name, value);
		return;
	}
	json_write_key(writer, field->name);
	if (field->type == AGENT_EXIT_SECONDS)
		json_write_micros(writer, value / 1000);
	else
		json_write_integer(writer, value);
}

static void write_field(struct json_writer *writer, const struct agent_exit *exit,
                        const struct agent_exit_field *field)
{
	const char *text;
	switch (field->type) {
	case AGENT_EXIT_TEXT:
	case AGENT_EXIT_TEXT_END:
		text = *text_of(exit, field);
		if (text == NULL)
			return;
		json_write_key(writer, field->name);
		write_cut(writer, text, field->limit, field->type == AGENT_EXIT_TEXT_END);
		return;
	case AGENT_EXIT_BOOL:
		json_write_member_bool(writer, field->name, *bool_of(exit, field));
		return;
	case AGENT_EXIT_CONTEXT:
		write_context(writer, exit);
		return;
	case AGENT_EXIT_CONTAINERS:
		write_containers(writer, exit, field);
		return;
	default:
		write_number(writer, field, *number_of(exit, field));
	}
}

static void write_label(struct json_writer *writer, const char *key, const char *text)
{
	char value[AGENT_EXIT_LABEL_SIZE];
	agent_exit_label_value(text, value);
	if (value[0] != '\0')
		json_write_member(writer, key, value);
}

static bool never_started(const struct agent_exit *exit)
{
	return exit->error_type != NULL &&
	       strcmp(exit->error_type, cause_name(CAUSE_NEVER_STARTED)) == 0;
}

static void write_metadata(struct json_writer *writer, const struct agent_exit *exit)
{
	char name[AGENT_EXIT_NAME_SIZE];
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	agent_exit_identity(exit, identity);
	agent_exit_name(exit->pod, exit->uid, exit->container, exit->restart_count,
	                !never_started(exit), name);
	json_write_key(writer, "metadata");
	json_write_object_begin(writer);
	json_write_member(writer, "name", name);
	write_text(writer, "namespace", exit->namespace, 63);
	json_write_key(writer, "labels");
	json_write_object_begin(writer);
	write_label(writer, AGENT_EXIT_LABEL_AGENT, exit->agent);
	write_label(writer, AGENT_EXIT_LABEL_CAUSE, exit->error_type);
	write_label(writer, AGENT_EXIT_LABEL_CONTAINER, exit->container);
	write_label(writer, AGENT_EXIT_LABEL_FINGERPRINT, exit->fingerprint);
	write_label(writer, AGENT_EXIT_LABEL_IDENTITY, identity);
	write_label(writer, AGENT_EXIT_LABEL_POD, exit->pod);
	write_label(writer, AGENT_EXIT_LABEL_TASK, exit->task_id);
	write_label(writer, AGENT_EXIT_LABEL_WORKFLOW, exit->workflow_id);
	json_write_object_end(writer);
	json_write_object_end(writer);
}

void agent_exit_write(const struct agent_exit *exit, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	writer.safe_text = true;
	json_write_object_begin(&writer);
	json_write_member(&writer, "apiVersion", AGENT_EXIT_API_VERSION);
	json_write_member(&writer, "kind", AGENT_EXIT_KIND);
	write_metadata(&writer, exit);
	json_write_key(&writer, "spec");
	json_write_object_begin(&writer);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		write_field(&writer, exit, &fields[i]);
	json_write_object_end(&writer);
	json_write_object_end(&writer);
}

static void write_conditions(struct json_writer *writer, const struct agent_exit *exit)
{
	if (exit->condition_count == 0)
		return;
	json_write_key(writer, "conditions");
	json_write_array_begin(writer);
	for (size_t i = 0; i < exit->condition_count && i < AGENT_EXIT_CONDITIONS_MAX; i++) {
		const struct agent_exit_condition *condition = &exit->conditions[i];
		json_write_object_begin(writer);
		write_text(writer, "type", condition->type, 316);
		write_text(writer, "status", condition->status, 16);
		json_write_member_time(writer, "lastTransitionTime",
		                       condition->last_transition_time);
		write_text(writer, "reason", condition->reason, 1024);
		write_text(writer, "message", condition->message, 1024);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

static void write_notifications(struct json_writer *writer, const struct agent_exit *exit)
{
	if (exit->notification_count == 0)
		return;
	json_write_key(writer, "notifications");
	json_write_array_begin(writer);
	for (size_t i = 0; i < exit->notification_count && i < AGENT_EXIT_NOTIFICATIONS_MAX; i++) {
		const struct agent_exit_notification *notification = &exit->notifications[i];
		json_write_object_begin(writer);
		write_text(writer, "receiver", notification->receiver, 63);
		write_text(writer, "state", notification->state, 32);
		write_text(writer, "id", notification->id, 253);
		json_write_member_time(writer, "time", notification->time);
		if (notification->attempts >= 0)
			json_write_member_integer(writer, "attempts", notification->attempts);
		write_text(writer, "message", notification->message, 256);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

void agent_exit_write_status(const struct agent_exit *exit, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	writer.safe_text = true;
	json_write_object_begin(&writer);
	if (exit->resource_version != NULL) {
		json_write_key(&writer, "metadata");
		json_write_object_begin(&writer);
		json_write_member(&writer, "resourceVersion", exit->resource_version);
		json_write_object_end(&writer);
	}
	json_write_key(&writer, "status");
	json_write_object_begin(&writer);
	write_conditions(&writer, exit);
	json_write_member_time(&writer, "resolvedAt", exit->resolved_at);
	write_notifications(&writer, exit);
	json_write_object_end(&writer);
	json_write_object_end(&writer);
}

/* ---- Reading ---- */

static int64_t read_time(const json *node)
{
	int64_t time;
	const char *text = json_string(node);
	return text != NULL && timestamp_parse(text, &time) ? time : AGENT_EXIT_UNKNOWN;
}

/* Seconds as nanoseconds; a number may have a fraction. */
static int64_t read_seconds(const json *node)
{
	double seconds;
	if (!json_double(node, &seconds) || !(seconds >= 0 && seconds < 9e9))
		return AGENT_EXIT_UNKNOWN;
	return (int64_t)(seconds * 1e6 + 0.5) * 1000;
}

static int64_t read_number(const json *node, enum agent_exit_type type)
{
	int64_t value;
	if (type == AGENT_EXIT_TIME)
		return read_time(node);
	if (type == AGENT_EXIT_SECONDS)
		return read_seconds(node);
	if (!json_integer(node, &value) || (type == AGENT_EXIT_COUNT && value < 0))
		return AGENT_EXIT_UNKNOWN;
	return value;
}

static void read_context(const json *object, struct agent_exit *exit)
{
	for (json *n = json_first(object); n != NULL; n = json_next(n)) {
		if (exit->context_count == AGENT_EXIT_CONTEXT_MAX)
			return;
		if (json_key(n) != NULL && json_is_string(n))
			exit->context[exit->context_count++] =
			        (struct agent_exit_context){json_key(n), json_string(n)};
	}
}

static void read_containers(const json *names, struct agent_exit *exit)
{
	for (json *n = json_first(names); n != NULL; n = json_next(n)) {
		if (exit->running_container_count == AGENT_EXIT_CONTAINERS_MAX)
			return;
		if (json_is_string(n))
			exit->running_containers[exit->running_container_count++] = json_string(n);
	}
}

static void read_conditions(const json *conditions, struct agent_exit *exit)
{
	for (json *n = json_first(conditions); n != NULL; n = json_next(n)) {
		const char *type = json_get_string(n, "type");
		if (exit->condition_count == AGENT_EXIT_CONDITIONS_MAX)
			return;
		if (type == NULL)
			continue;
		exit->conditions[exit->condition_count++] = (struct agent_exit_condition){
		        .type = type,
		        .status = json_get_string_or(n, "status", "Unknown"),
		        .last_transition_time = read_time(json_get(n, "lastTransitionTime")),
		        .reason = json_get_string(n, "reason"),
		        .message = json_get_string(n, "message"),
		};
	}
}

static void read_notifications(const json *notifications, struct agent_exit *exit)
{
	for (json *n = json_first(notifications); n != NULL; n = json_next(n)) {
		const char *receiver = json_get_string(n, "receiver");
		if (exit->notification_count == AGENT_EXIT_NOTIFICATIONS_MAX)
			return;
		if (receiver == NULL)
			continue;
		exit->notifications[exit->notification_count++] = (struct agent_exit_notification){
		        .receiver = receiver,
		        .state = json_get_string_or(n, "state", AGENT_EXIT_NOTIFICATION_PENDING),
		        .id = json_get_string(n, "id"),
		        .time = read_time(json_get(n, "time")),
		        .attempts = read_number(json_get(n, "attempts"), AGENT_EXIT_COUNT),
		        .message = json_get_string(n, "message"),
		};
	}
}

static void read_status(const json *status, struct agent_exit *exit)
{
	exit->resolved_at = read_time(json_get(status, "resolvedAt"));
	read_conditions(json_get(status, "conditions"), exit);
	read_notifications(json_get(status, "notifications"), exit);
}

static void read_field(const json *node, const struct agent_exit_field *field,
                       struct agent_exit *exit)
{
	switch (field->type) {
	case AGENT_EXIT_TEXT:
	case AGENT_EXIT_TEXT_END:
		*text_of(exit, field) = json_string(node);
		return;
	case AGENT_EXIT_BOOL:
		*bool_of(exit, field) = json_is_true(node);
		return;
	case AGENT_EXIT_CONTEXT:
		read_context(node, exit);
		return;
	case AGENT_EXIT_CONTAINERS:
		read_containers(node, exit);
		return;
	default:
		*number_of(exit, field) = read_number(node, field->type);
	}
}

bool agent_exit_read(const json *object, struct agent_exit *ret_exit, struct error *error)
{
	const json *metadata = json_get(object, "metadata");
	const json *spec = json_get(object, "spec");
	const char *kind = json_get_string(object, "kind");
	const char *name = json_get_string(metadata, "name");
	/* The items of a list may come without a kind. */
	if (kind != NULL && strcmp(kind, AGENT_EXIT_KIND) != 0)
		return error_set(error, "kind is \"%s\", expected " AGENT_EXIT_KIND, kind);
	if (name == NULL)
		return error_set(error, "metadata.name is %s, expected a string",
		                 json_type_name(json_get(metadata, "name")));
	if (!json_is_object(spec))
		return error_set(error, "%s: spec is %s, expected an object", name,
		                 json_type_name(spec));

	agent_exit_init(ret_exit);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		read_field(json_get(spec, fields[i].name), &fields[i], ret_exit);
	ret_exit->name = name;
	ret_exit->namespace = json_get_string_or(metadata, "namespace", ret_exit->namespace);
	ret_exit->resource_version = json_get_string(metadata, "resourceVersion");
	ret_exit->created_at = read_time(json_get(metadata, "creationTimestamp"));
	read_status(json_get(object, "status"), ret_exit);
	return true;
}

const struct agent_exit_notification *agent_exit_find_notification(const struct agent_exit *exit,
                                                                   const char *receiver)
{
	for (size_t i = 0; i < exit->notification_count; i++)
		if (strcmp(exit->notifications[i].receiver, receiver) == 0)
			return &exit->notifications[i];
	return NULL;
}

const struct agent_exit_condition *agent_exit_find_condition(const struct agent_exit *exit,
                                                             const char *type)
{
	for (size_t i = 0; i < exit->condition_count; i++)
		if (strcmp(exit->conditions[i].type, type) == 0)
			return &exit->conditions[i];
	return NULL;
}
