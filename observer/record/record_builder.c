#include "observer/record/record_builder.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/snippet.h"
#include "lib/base/utf8.h"

#define MESSAGE_MAX        ((size_t)12 * 1024)
#define MESSAGE_LIKELY_CUT 1000

struct record_builder {
	struct arena *arena;
	const struct termination *termination;
	const struct watchdog_report *report;
	const struct redact_patterns *patterns;
	const struct own_rules *rules;
	struct observation observation;
	struct snippet snippet;
	enum cause cause;
	struct agent_exit *exit;
	bool full; /* the arena is */
};

/* A string of output: here a NUL becomes U+FFFD; whoever writes the string replaces the other
 * characters that are unsafe (lib/base/json_write). */
static const char *keep(struct record_builder *builder, const char *text, size_t length)
{
	static const char replacement[] = {'\xEF', '\xBF', '\xBD'}; /* U+FFFD */
	size_t nuls = 0;
	for (size_t i = 0; i < length; i++)
		nuls += text[i] == '\0';
	char *copy = arena_allocate(builder->arena, length + 2 * nuls + 1);
	char *to = copy;
	builder->full = builder->full || copy == NULL;
	for (size_t i = 0; copy != NULL && i < length; i++) {
		if (text[i] != '\0') {
			*to++ = text[i];
			continue;
		}
		memcpy(to, replacement, sizeof replacement);
		to += sizeof replacement;
	}
	return copy;
}

static const char *redacted(struct record_builder *builder, const char *text, size_t most)
{
	if (text == NULL)
		return NULL;
	size_t length = strnlen(text, most);
	char *copy = arena_copy(builder->arena, text, length);
	if (copy == NULL) {
		builder->full = true;
		return NULL;
	}
	/* The kubelet keeps the last 2048 bytes of a log, and of them what the pod's containers
	 * share: the first word may be the second half of a secret. */
	size_t limit = builder->termination->message_limit;
	bool cut = length >= MESSAGE_LIKELY_CUT || (limit > 0 && length >= limit);
	copy[redact(builder->patterns, cut, copy, length, NULL)] = '\0';
	return copy;
}

/* ---- What was observed ---- */

static void observe(struct record_builder *builder)
{
	const struct termination *termination = builder->termination;
	const struct watchdog_report *report = builder->report;
	struct observation *o = &builder->observation;
	*o = (struct observation){
	        .container_reason = termination->reason,
	        .pod_reason = termination->pod_reason,
	        .disruption = termination->disruption,
	        .termination_requested = termination->deletion_requested,
	};
	if (termination_has_exit_code(termination)) {
		o->ended = ENDED_EXITED;
		o->exit_code = termination->exit_code;
	}
	if (report == NULL)
		return;
	if (report->oom_kills > 0)
		o->oom_kills = (uint64_t)report->oom_kills;
	if (report->exit_code == AGENT_EXIT_UNKNOWN) {
		o->ended = ENDED_VANISHED;
	} else {
		o->ended = ENDED_EXITED;
		o->exit_code = report->exit_code <= INT32_MAX ? (int)report->exit_code : 255;
	}
}

/* ---- The output ---- */

/* The last RECORD_LOG_TAIL_MAX bytes, from the start of a character, and of a line where one is
 * near. */
static const char *tail_of(struct record_builder *builder, const char *text, size_t length)
{
	size_t from = length > RECORD_LOG_TAIL_MAX ? length - RECORD_LOG_TAIL_MAX : 0;
	if (from > 0) {
		const char *termination = memchr(text + from, '\n', length - from);
		if (termination != NULL && termination + 1 < text + length &&
		    termination < text + from + 256)
			from = (size_t)(termination + 1 - text);
	}
	while (from > 0 && from < length && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	return keep(builder, text + from, length - from);
}

static void read_log(struct record_builder *builder, struct log_tail *log)
{
	size_t length = redact(builder->patterns, log->cut, log->bytes, log->length, NULL);
	snippet_pick(builder->rules, log->bytes, length, &builder->snippet);
	builder->exit->source = AGENT_EXIT_SOURCE_LOG;
	builder->exit->log_tail = tail_of(builder, log->bytes, length);
	if (!log->cut)
		builder->exit->log_bytes_total = (int64_t)log->length;
}

/* With FallbackToLogsOnError, or because it wrote them there, the last output is in the message. */
static void read_message(struct record_builder *builder)
{
	const char *message = builder->exit->message;
	builder->exit->source = AGENT_EXIT_SOURCE_KUBELET;
	if (message != NULL)
		snippet_pick(builder->rules, message, strlen(message), &builder->snippet);
}

static void read_output(struct record_builder *builder, struct log_tail *log)
{
	if (builder->report != NULL) {
		const char *text = builder->report->payload_snippet;
		builder->exit->source = AGENT_EXIT_SOURCE_WATCHDOG;
		if (text != NULL)
			snippet_pick(builder->rules, text, strlen(text), &builder->snippet);
	} else if (log != NULL && log->length > 0) {
		read_log(builder, log);
	} else {
		read_message(builder);
	}
	builder->observation.snippet = &builder->snippet;
}

/* ---- The cause ---- */

static bool weighs_more(const char *evidence)
{
	return strcmp(evidence, "pod-reason") == 0 || strcmp(evidence, "container-reason") == 0;
}

/* A report decides unless the kubelet knows better; true: its summary and fingerprint are kept. */
static bool believe_report(struct record_builder *builder, const char *evidence)
{
	const struct watchdog_report *report = builder->report;
	enum cause cause;
	if (report == NULL || report->error_type == NULL ||
	    !cause_from_name(report->error_type, &cause))
		return false;
	/* A report is untrusted: it cannot turn a failure into a success, or a run into none. */
	bool failed = termination_has_exit_code(builder->termination) &&
	              builder->termination->exit_code != 0;
	if (cause != builder->cause &&
	    (cause == CAUSE_NEVER_STARTED || (failed && cause == CAUSE_COMPLETED)))
		return false;
	bool own_doing = report->evidence != NULL && strcmp(report->evidence, "killed-by-us") == 0;
	if (!own_doing && weighs_more(evidence) && cause != builder->cause)
		return false;
	builder->cause = cause;
	return true;
}

static void summarize(struct record_builder *builder)
{
	char storage[SUMMARY_SIZE_MAX + 1];
	struct buffer summary;
	const struct agent_exit *exit = builder->exit;
	buffer_init_fixed(&summary, storage, sizeof storage);
	if (builder->termination->kind == TERMINATION_NEVER_STARTED) {
		/* The message is more specific than "PodInitializing". */
		const char *why = exit->message != NULL  ? exit->message
		                  : exit->reason != NULL ? exit->reason
		                                         : exit->pod_reason;
		struct buffer report;
		char text[SUMMARY_SIZE_MAX * 4];
		buffer_init_fixed(&report, text, sizeof text);
		buffer_printf(&report, "%s%s%.320s", cause_name(builder->cause),
		              why == NULL ? "" : ": ", why == NULL ? "" : why);
		size_t length = report.length < SUMMARY_SIZE_MAX ? report.length : SUMMARY_SIZE_MAX;
		buffer_append(&summary, text, utf8_valid_prefix(text, length));
	} else {
		struct observation observed = builder->observation;
		/* "Error" is not specific; the reason of the pod may be. */
		if (reason_is(observed.container_reason, "Error"))
			observed.container_reason = NULL;
		classify_summary(&observed, builder->cause, &summary);
	}
	builder->exit->summary = keep(builder, buffer_text(&summary), summary.length);
}

static void diagnose(struct record_builder *builder)
{
	struct agent_exit *exit = builder->exit;
	const char *evidence = "";
	builder->cause = classify(&builder->observation, &evidence);
	/* The record's name has it, too, since a run may still come. The pod's reason is kept. */
	if (builder->termination->kind == TERMINATION_NEVER_STARTED)
		builder->cause = CAUSE_NEVER_STARTED;
	exit->evidence = evidence;
	exit->detail = classify_detail(&builder->observation, builder->cause);
	if (believe_report(builder, evidence)) {
		exit->evidence = builder->report->evidence;
		exit->detail = builder->report->detail;
		exit->summary = builder->report->summary;
		exit->fingerprint = builder->report->fingerprint;
	}
	exit->error_type = cause_name(builder->cause);
	if (exit->summary == NULL)
		summarize(builder);
	if (exit->fingerprint == NULL) {
		char print[FINGERPRINT_SIZE];
		fingerprint(exit->owner, exit->container, exit->error_type,
		            builder->snippet.statement, builder->snippet.statement_length, print);
		exit->fingerprint = keep(builder, print, strlen(print));
	}
}

/* ---- The record ---- */

/* The context in a report is redacted already; that in the pod's flags is not. */
static void fill_context(struct record_builder *builder)
{
	const struct watchdog_report *report = builder->report;
	const struct packed_texts *packed_texts = &builder->termination->context;
	for (size_t i = 0; report != NULL && i < report->context_count; i++)
		agent_exit_add_context(builder->exit, report->context[i].key,
		                       report->context[i].value);
	for (size_t at = 0; report == NULL && at < packed_texts->length;) {
		const char *key = packed_texts->bytes + at;
		const char *value = key + strlen(key) + 1;
		at += (size_t)(value - key) + strlen(value) + 1;
		value = redacted(builder, value, MESSAGE_MAX);
		if (value != NULL)
			agent_exit_add_context(builder->exit, key, value);
	}
}

static void fill_running(struct record_builder *builder)
{
	const struct packed_texts *names = &builder->termination->running;
	struct agent_exit *exit = builder->exit;
	for (size_t at = 0; at < names->length; at += strlen(names->bytes + at) + 1) {
		if (exit->running_container_count == AGENT_EXIT_CONTAINERS_MAX)
			return;
		exit->running_containers[exit->running_container_count++] = names->bytes + at;
	}
}

static void fill_pod(struct record_builder *builder)
{
	const struct termination *termination = builder->termination;
	struct agent_exit *exit = builder->exit;
	exit->pod = termination->pod;
	exit->namespace = termination->namespace;
	exit->uid = termination->uid;
	exit->node = termination->node;
	exit->container = termination->container;
	exit->restart_count = termination->restart_count;
	exit->final = termination->final;
	exit->reason = termination->reason;
	exit->message = redacted(builder, termination->message, MESSAGE_MAX);
	exit->pod_reason = termination->pod_reason;
	exit->disruption = termination->disruption;
	exit->version = LASTWORD_VERSION;
	if (termination->owner_kind != NULL) {
		exit->owner = arena_printf(builder->arena, "%s/%s", termination->owner_kind,
		                           termination->owner_name);
		builder->full = builder->full || exit->owner == NULL;
	}
	if (termination_has_exit_code(termination))
		exit->exit_code = termination->exit_code;
	if (termination->started_at != 0)
		exit->started_at = termination->started_at;
	if (termination->finished_at != 0)
		exit->finished_at = termination->finished_at;
	if (termination->started_at != 0 && termination->finished_at >= termination->started_at)
		exit->duration = termination->finished_at - termination->started_at;
}

static void fill_report(struct record_builder *builder)
{
	const struct watchdog_report *report = builder->report;
	struct agent_exit *exit = builder->exit;
	if (report == NULL)
		return;
	if (!termination_has_exit_code(builder->termination))
		exit->exit_code = report->exit_code;
	if (exit->finished_at == AGENT_EXIT_UNKNOWN)
		exit->finished_at = report->finished_at;
	if (exit->started_at == AGENT_EXIT_UNKNOWN)
		exit->started_at = report->started_at;
	if (report->duration != AGENT_EXIT_UNKNOWN)
		exit->duration = report->duration;
	exit->signal = report->signal;
	exit->cpu = report->cpu;
	exit->max_rss_bytes = report->max_rss_bytes;
	exit->oom_kills = report->oom_kills;
	exit->silences = report->silences;
	exit->deadline_exceeded_at = report->deadline_exceeded_at;
	exit->shim_instance = report->shim_instance;
	exit->shim_uid = report->shim_uid;
	exit->reports_lost = report->reports_lost;
	exit->log_bytes_total = report->log_bytes_total;
	exit->log_tail = report->log_tail;
	exit->payload_snippet = report->payload_snippet;
}

/* Valid until the next call in this thread; the patterns are too large for the stack. */
static const struct redact_patterns *patterns_of(const struct termination *termination)
{
	static _Thread_local struct redact_patterns patterns;
	const struct packed_texts *packed_texts = &termination->patterns;
	patterns = (struct redact_patterns){.count = 0};
	for (size_t at = 0; at < packed_texts->length; at += strlen(packed_texts->bytes + at) + 1)
		redact_patterns_add(&patterns, packed_texts->bytes + at, NULL);
	return &patterns;
}

static const struct own_rules *rules_of(const struct termination *termination)
{
	static _Thread_local struct own_rules rules;
	const struct packed_texts *texts = &termination->rules;
	rules = (struct own_rules){.count = 0};
	for (size_t at = 0; at < texts->length; at += strlen(texts->bytes + at) + 1)
		own_rules_add(&rules, texts->bytes + at, NULL);
	return &rules;
}

/* In place: redaction never makes a text longer. */
static size_t redact_values(struct record_builder *builder, char *pairs, size_t length)
{
	char *to = pairs;
	for (char *from = pairs; from < pairs + length;) {
		size_t key = strlen(from) + 1;
		size_t value = strlen(from + key);
		char *next = from + key + value + 1;
		memmove(to, from, key + value);
		to += key + redact(builder->patterns, false, to + key, value, NULL);
		*to++ = '\0';
		from = next;
	}
	return (size_t)(to - pairs);
}

bool record_redact(struct arena *arena, struct termination *termination)
{
	struct record_builder builder = {
	        .arena = arena, .termination = termination, .patterns = patterns_of(termination)};
	termination->message = redacted(&builder, termination->message, MESSAGE_MAX);
	if (termination->context.length > 0) {
		char *pairs =
		        arena_copy(arena, termination->context.bytes, termination->context.length);
		builder.full = builder.full || pairs == NULL;
		termination->context.bytes = pairs;
		termination->context.length =
		        pairs == NULL ? 0
		                      : redact_values(&builder, pairs, termination->context.length);
	}
	termination->patterns = termination->rules = (struct packed_texts){.bytes = NULL};
	return !builder.full;
}

bool record_identity(struct arena *arena, const struct termination *termination,
                     char ret_identity[AGENT_EXIT_IDENTITY_SIZE])
{
	struct agent_exit exit;
	agent_exit_init(&exit);
	struct record_builder builder = {.arena = arena,
	                                 .termination = termination,
	                                 .patterns = patterns_of(termination),
	                                 .rules = rules_of(termination),
	                                 .exit = &exit};
	fill_pod(&builder);
	fill_context(&builder);
	agent_exit_identity(&exit, ret_identity);
	return !builder.full;
}

bool record_build(struct arena *arena, const struct termination *termination,
                  const struct watchdog_report *report, struct log_tail *log,
                  struct built_record *ret_built)
{
	struct built_record built = {.failed = false};
	agent_exit_init(&built.exit);
	struct record_builder builder = {.arena = arena,
	                                 .termination = termination,
	                                 .report = report,
	                                 .patterns = patterns_of(termination),
	                                 .rules = rules_of(termination),
	                                 .exit = &built.exit};
	observe(&builder);
	fill_pod(&builder);
	fill_running(&builder);
	fill_report(&builder);
	fill_context(&builder);
	read_output(&builder, log);
	if (report == NULL && builder.snippet.length > 0)
		built.exit.payload_snippet =
		        keep(&builder, builder.snippet.text, builder.snippet.length);
	diagnose(&builder);

	built.failed = builder.cause != CAUSE_COMPLETED;
	built.record = built.failed ||
	               (termination->kind == TERMINATION_REPORTED && termination->reason != NULL &&
	                strcmp(termination->reason, "OOMKilled") == 0);
	if (builder.full)
		return false;
	*ret_built = built;
	return true;
}
