#include "watchdog/report.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/base/json_write.h"
#include "lib/base/utf8.h"

/* Escaped bytes of all context fields: the rest of the line is for the other fields and output. */
#define CONTEXT_SPACE ((size_t)6 * 1024)

/* What follows log_tail at the end of the line. */
#define CLOSING "}\n"

static const char *const event_names[] = {
        [EVENT_END] = "end",
        [EVENT_FLUSH] = "flush",
        [EVENT_SILENT_AGENT] = "silent-agent",
        [EVENT_DEADLINE] = "deadline",
};

static void write_known(struct json_writer *writer, const char *key, int64_t value)
{
	if (value >= 0)
		json_write_member_integer(writer, key, value);
}

static void write_seconds(struct json_writer *writer, const char *key, int64_t nanoseconds)
{
	if (nanoseconds < 0)
		return;
	json_write_key(writer, key);
	json_write_micros(writer, nanoseconds / 1000);
}

static void write_identity(struct json_writer *writer, const struct report_pod *pod,
                           const struct report *report)
{
	json_write_member(writer, "event", event_names[report->event]);
	json_write_member_time(writer, "time", report->time);
	json_write_member(writer, "version", LASTWORD_VERSION);
	json_write_member(writer, "source", "watchdog");
	json_write_member(writer, "pod", pod->name);
	json_write_member(writer, "namespace", pod->namespace);
	json_write_member(writer, "uid", pod->uid);
	json_write_member(writer, "node", pod->node);
	json_write_member(writer, "owner", pod->owner);
	json_write_member(writer, "container", report->container);
	json_write_key(writer, "shim_instance");
	json_write_unsigned(writer, report->shim_instance);
}

static bool has_exit_code(const struct observation *o)
{
	return o->ended == ENDED_EXITED || o->ended == ENDED_SIGNALED ||
	       o->ended == ENDED_NOT_EXECUTED;
}

static void write_end(struct json_writer *writer, const struct report_pod *pod,
                      const struct report *report, const struct snippet *snippet)
{
	const struct observation *o = &report->observation;
	const char *evidence = NULL;
	enum cause cause = classify(o, &evidence);
	char storage[SUMMARY_SIZE_MAX + 1];
	struct buffer summary;
	char print[FINGERPRINT_SIZE];
	char signal_storage[SIGNAL_NAME_SIZE];
	buffer_init_fixed(&summary, storage, sizeof storage);
	classify_summary(o, cause, &summary);
	fingerprint(pod->owner, report->container, cause_name(cause), snippet->statement,
	            snippet->statement_length, print);

	json_write_member(writer, "error_type", cause_name(cause));
	json_write_member(writer, "detail", classify_detail(o, cause));
	json_write_member(writer, "evidence", evidence);
	if (has_exit_code(o))
		json_write_member_integer(writer, "exit_code", o->exit_code);
	if (o->ended == ENDED_SIGNALED)
		json_write_member(writer, "signal", signal_name(o->signal, signal_storage));
	json_write_member(writer, "summary", buffer_text(&summary));
	json_write_member(writer, "fingerprint", print);
}

/* KEY=VALUE as members, as long as there is room. */
static void write_context(struct json_writer *writer, const struct report_pod *pod)
{
	static char storage[CONTEXT_SPACE];
	size_t space = CONTEXT_SPACE;
	for (size_t i = 0; i < pod->context_count; i++) {
		char key[REPORT_KEY_MAX + 1];
		struct buffer value;
		const char *equals = strchr(pod->context[i], '=');
		size_t length = equals == NULL ? 0 : (size_t)(equals - pod->context[i]);
		if (length == 0 || length > REPORT_KEY_MAX)
			continue;
		buffer_init_fixed(&value, storage, sizeof storage);
		json_escape_safe(&value, equals + 1, strlen(equals + 1));
		size_t needed = length + value.length + strlen(",\"\":");
		if (!buffer_ok(&value) || needed > space)
			continue;
		space -= needed;
		memcpy(key, pod->context[i], length);
		key[length] = '\0';
		json_write_key(writer, key);
		json_write_raw(writer, value.data, value.length);
	}
}

/* Where text may begin at or after from: behind the next line end if it is near, else at the next
 * character. */
static size_t next_start(const char *text, size_t length, size_t from)
{
	const size_t near = 256;
	for (size_t i = from; i < length && i < from + near; i++)
		if (text[i] == '\n' && i + 1 < length)
			return i + 1;
	while (from < length && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	return from;
}

/* log_tail: the last tail_size bytes, or as many as the line has room for. */
static void write_tail(struct json_writer *writer, const char *text, size_t length,
                       size_t tail_size)
{
	static char storage[REPORT_LINE_MAX];
	size_t used = writer->out->length + strlen(",\"log_tail\":" CLOSING);
	size_t from = 0;
	if (used >= REPORT_LINE_MAX)
		return;
	if (length > tail_size)
		from = next_start(text, length, length - tail_size);
	for (;;) {
		struct buffer escaped;
		buffer_init_fixed(&escaped, storage, REPORT_LINE_MAX - used + 1);
		json_escape_safe(&escaped, text + from, length - from);
		if (buffer_ok(&escaped)) {
			json_write_key(writer, "log_tail");
			json_write_raw(writer, escaped.data, escaped.length);
			return;
		}
		if (from == length)
			return;
		from = next_start(text, length, from + (length - from) / 8 + 1);
	}
}

void report_write(const struct report_pod *pod, struct report *report, struct buffer *out)
{
	static struct snippet snippet;
	size_t length = redact(&pod->patterns, report->output_cut, report->output,
	                       report->output_length, NULL);
	snippet_pick(&pod->rules, report->output, length, &snippet);
	report->observation.snippet = &snippet;

	struct json_writer writer;
	json_writer_init(&writer, out);
	writer.safe_text = true;
	json_write_object_begin(&writer);
	write_identity(&writer, pod, report);
	if (report->event == EVENT_END)
		write_end(&writer, pod, report, &snippet);
	json_write_member(&writer, "payload_snippet", snippet.text);
	json_write_member_time(&writer, "started_at", report->started_at);
	json_write_member_time(&writer, "finished_at", report->finished_at);
	write_seconds(&writer, "duration_seconds", report->duration);
	write_seconds(&writer, "silence_seconds", report->silence);
	write_known(&writer, "max_rss_bytes", report->max_rss);
	write_seconds(&writer, "cpu_seconds", report->cpu);
	write_known(&writer, "oom_kills", report->oom_kills);
	if (report->silences > 0) {
		json_write_key(&writer, "silences");
		json_write_unsigned(&writer, report->silences);
	}
	json_write_member_time(&writer, "deadline_exceeded_at", report->deadline_exceeded_at);
	write_known(&writer, "shim_uid", report->shim_uid);
	if (report->reports_lost > 0) {
		json_write_key(&writer, "reports_lost");
		json_write_unsigned(&writer, report->reports_lost);
	}
	write_context(&writer, pod);
	json_write_key(&writer, "log_bytes_total");
	json_write_unsigned(&writer, report->total);
	write_tail(&writer, report->output, length, pod->tail_size);
	json_write_object_end(&writer);
	buffer_append_char(out, '\n');
}
