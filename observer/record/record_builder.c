#include "observer/record/record_builder.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/snippet.h"
#include "lib/base/utf8.h"

#define MESSAGE_MAX ((size_t)12 * 1024)

struct judging {
	struct arena *arena;
	const struct end *end;
	const struct line *line;
	const struct redact_patterns *patterns;
	struct observation observation;
	struct snippet snippet;
	enum cause cause;
	struct agent_exit *exit;
	bool full; /* the arena is */
};

static const char *keep(struct judging *judging, const char *text, size_t length)
{
	const char *copy = arena_copy(judging->arena, text, length);
	judging->full = judging->full || copy == NULL;
	return copy;
}

static const char *redacted(struct judging *judging, const char *text, size_t most)
{
	if (text == NULL)
		return NULL;
	size_t length = strnlen(text, most);
	char *copy = arena_copy(judging->arena, text, length);
	if (copy == NULL) {
		judging->full = true;
		return NULL;
	}
	/* The kubelet cuts a log's end at 2048 bytes, less with many containers: from there on the
	 * first word may be half a secret. */
	bool cut = length >= 1000;
	copy[redact(judging->patterns, cut, copy, length, NULL)] = '\0';
	return copy;
}

/* ---- What was observed ---- */

static void observe(struct judging *judging)
{
	const struct end *end = judging->end;
	const struct line *line = judging->line;
	struct observation *o = &judging->observation;
	*o = (struct observation){
	        .container_reason = end->reason,
	        .pod_reason = end->pod_reason,
	        .disruption = end->disruption,
	        .told_to_terminate = end->told_to_terminate,
	};
	if (end_has_code(end)) {
		o->ended = ENDED_EXITED;
		o->exit_code = end->exit_code;
	}
	if (line == NULL)
		return;
	if (line->oom_kills > 0)
		o->oom_kills = (uint64_t)line->oom_kills;
	if (line->exit_code == AGENT_EXIT_UNKNOWN) {
		o->ended = ENDED_VANISHED;
	} else {
		o->ended = ENDED_EXITED;
		o->exit_code = line->exit_code <= INT32_MAX ? (int)line->exit_code : 255;
	}
}

/* ---- What output says ---- */

/* The last VERDICT_TAIL_MAX bytes, from a character's start, after a line end where one is near. */
static const char *tail_of(struct judging *judging, const char *text, size_t length)
{
	size_t from = length > VERDICT_TAIL_MAX ? length - VERDICT_TAIL_MAX : 0;
	if (from > 0) {
		const char *end = memchr(text + from, '\n', length - from);
		if (end != NULL && end + 1 < text + length && end < text + from + 256)
			from = (size_t)(end + 1 - text);
	}
	while (from > 0 && from < length && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	return keep(judging, text + from, length - from);
}

static void read_log(struct judging *judging, struct log_end *log)
{
	size_t length = redact(judging->patterns, log->cut, log->bytes, log->length, NULL);
	snippet_pick(log->bytes, length, &judging->snippet);
	judging->exit->source = AGENT_EXIT_SOURCE_LOG;
	judging->exit->log_tail = tail_of(judging, log->bytes, length);
	if (!log->cut)
		judging->exit->log_bytes_total = (int64_t)log->length;
}

/* With FallbackToLogsOnError, or by its own doing, the container's last words are in the message.
 */
static void read_message(struct judging *judging)
{
	const char *message = judging->exit->message;
	judging->exit->source = AGENT_EXIT_SOURCE_KUBELET;
	if (message != NULL)
		snippet_pick(message, strlen(message), &judging->snippet);
}

static void read_output(struct judging *judging, struct log_end *log)
{
	if (judging->line != NULL) {
		const char *text = judging->line->payload_snippet;
		judging->exit->source = AGENT_EXIT_SOURCE_WATCHDOG;
		if (text != NULL)
			snippet_pick(text, strlen(text), &judging->snippet);
	} else if (log != NULL && log->length > 0) {
		read_log(judging, log);
	} else {
		read_message(judging);
	}
	judging->observation.snippet = &judging->snippet;
}

/* ---- The cause ---- */

static bool weighs_more(const char *evidence)
{
	return strcmp(evidence, "pod-reason") == 0 || strcmp(evidence, "container-reason") == 0;
}

/* A line decides unless the kubelet knows better; true: its own words are kept. */
static bool believe_line(struct judging *judging, const char *evidence)
{
	const struct line *line = judging->line;
	enum cause cause;
	if (line == NULL || line->error_type == NULL || !cause_from_name(line->error_type, &cause))
		return false;
	/* It is untrusted: it makes no success of a failure, nor of a run one that never was. */
	bool failed = end_has_code(judging->end) && judging->end->exit_code != 0;
	if (cause != judging->cause &&
	    (cause == CAUSE_NEVER_STARTED || (failed && cause == CAUSE_COMPLETED)))
		return false;
	bool own_doing = line->evidence != NULL && strcmp(line->evidence, "killed-by-us") == 0;
	if (!own_doing && weighs_more(evidence) && cause != judging->cause)
		return false;
	judging->cause = cause;
	return true;
}

static void summarize(struct judging *judging)
{
	char storage[SUMMARY_SIZE_MAX + 1];
	struct buffer summary;
	const struct agent_exit *exit = judging->exit;
	buffer_init_fixed(&summary, storage, sizeof storage);
	if (judging->end->kind == END_NEVER_STARTED) {
		/* The message says more than "PodInitializing". */
		const char *why = exit->message != NULL  ? exit->message
		                  : exit->reason != NULL ? exit->reason
		                                         : exit->pod_reason;
		struct buffer line;
		char text[SUMMARY_SIZE_MAX * 4];
		buffer_init_fixed(&line, text, sizeof text);
		buffer_printf(&line, "%s%s%.320s", cause_name(judging->cause),
		              why == NULL ? "" : ": ", why == NULL ? "" : why);
		size_t length = line.length < SUMMARY_SIZE_MAX ? line.length : SUMMARY_SIZE_MAX;
		buffer_append(&summary, text, utf8_valid_prefix(text, length));
	} else {
		struct observation told = judging->observation;
		/* "Error" says nothing; the pod's reason may. */
		if (reason_is(told.container_reason, "Error"))
			told.container_reason = NULL;
		classify_summary(&told, judging->cause, &summary);
	}
	judging->exit->summary = keep(judging, buffer_text(&summary), summary.length);
}

static void judge_cause(struct judging *judging)
{
	struct agent_exit *exit = judging->exit;
	const char *evidence = "";
	judging->cause = classify(&judging->observation, &evidence);
	/* The record's name says so, too: a run may still come. pod_reason says what the pod says.
	 */
	if (judging->end->kind == END_NEVER_STARTED)
		judging->cause = CAUSE_NEVER_STARTED;
	exit->evidence = evidence;
	if (believe_line(judging, evidence)) {
		exit->evidence = judging->line->evidence;
		exit->summary = judging->line->summary;
		exit->fingerprint = judging->line->fingerprint;
	}
	exit->error_type = cause_name(judging->cause);
	if (exit->summary == NULL)
		summarize(judging);
	if (exit->fingerprint == NULL) {
		char print[FINGERPRINT_SIZE];
		fingerprint(exit->owner, exit->container, exit->error_type,
		            judging->snippet.statement, judging->snippet.statement_length, print);
		exit->fingerprint = keep(judging, print, strlen(print));
	}
}

/* ---- The record ---- */

/* The line's context was redacted in the pod; the flags are as somebody wrote them. */
static void fill_context(struct judging *judging)
{
	const struct line *line = judging->line;
	const struct texts *texts = &judging->end->context;
	for (size_t i = 0; line != NULL && i < line->context_count; i++)
		agent_exit_add_context(judging->exit, line->context[i].key, line->context[i].value);
	for (size_t at = 0; line == NULL && at < texts->length;) {
		const char *key = texts->bytes + at;
		const char *value = key + strlen(key) + 1;
		at += (size_t)(value - key) + strlen(value) + 1;
		value = redacted(judging, value, MESSAGE_MAX);
		if (value != NULL)
			agent_exit_add_context(judging->exit, key, value);
	}
}

static void fill_pod(struct judging *judging)
{
	const struct end *end = judging->end;
	struct agent_exit *exit = judging->exit;
	exit->pod = end->pod;
	exit->namespace = end->namespace;
	exit->uid = end->uid;
	exit->node = end->node;
	exit->container = end->container;
	exit->restart_count = end->run;
	exit->final = end->final;
	exit->reason = end->reason;
	exit->message = redacted(judging, end->message, MESSAGE_MAX);
	exit->pod_reason = end->pod_reason;
	exit->disruption = end->disruption;
	exit->version = LASTWORD_VERSION;
	if (end->owner_kind != NULL) {
		exit->owner =
		        arena_printf(judging->arena, "%s/%s", end->owner_kind, end->owner_name);
		judging->full = judging->full || exit->owner == NULL;
	}
	if (end_has_code(end))
		exit->exit_code = end->exit_code;
	if (end->started_at != 0)
		exit->started_at = end->started_at;
	if (end->finished_at != 0)
		exit->finished_at = end->finished_at;
	if (end->started_at != 0 && end->finished_at >= end->started_at)
		exit->duration = end->finished_at - end->started_at;
}

static void fill_line(struct judging *judging)
{
	const struct line *line = judging->line;
	struct agent_exit *exit = judging->exit;
	if (line == NULL)
		return;
	if (!end_has_code(judging->end))
		exit->exit_code = line->exit_code;
	if (exit->finished_at == AGENT_EXIT_UNKNOWN)
		exit->finished_at = line->finished_at;
	if (exit->started_at == AGENT_EXIT_UNKNOWN)
		exit->started_at = line->started_at;
	if (line->duration != AGENT_EXIT_UNKNOWN)
		exit->duration = line->duration;
	exit->signal = line->signal;
	exit->cpu = line->cpu;
	exit->max_rss_bytes = line->max_rss_bytes;
	exit->oom_kills = line->oom_kills;
	exit->silences = line->silences;
	exit->deadline_exceeded_at = line->deadline_exceeded_at;
	exit->shim_instance = line->shim_instance;
	exit->shim_uid = line->shim_uid;
	exit->reports_lost = line->reports_lost;
	exit->log_bytes_total = line->log_bytes_total;
	exit->log_tail = line->log_tail;
	exit->payload_snippet = line->payload_snippet;
}

/* Valid until the next call of this thread: they are too large for a stack. */
static const struct redact_patterns *patterns_of(const struct end *end)
{
	static _Thread_local struct redact_patterns patterns;
	const struct texts *texts = &end->patterns;
	patterns = (struct redact_patterns){.count = 0};
	for (size_t at = 0; at < texts->length; at += strlen(texts->bytes + at) + 1)
		redact_patterns_add(&patterns, texts->bytes + at, NULL);
	return &patterns;
}

/* In place: what is redacted is never longer. */
static size_t redact_values(struct judging *judging, char *pairs, size_t length)
{
	char *to = pairs;
	for (char *from = pairs; from < pairs + length;) {
		size_t key = strlen(from) + 1;
		size_t value = strlen(from + key);
		char *next = from + key + value + 1;
		memmove(to, from, key + value);
		to += key + redact(judging->patterns, false, to + key, value, NULL);
		*to++ = '\0';
		from = next;
	}
	return (size_t)(to - pairs);
}

bool verdict_redact(struct arena *arena, struct end *end)
{
	struct judging judging = {.arena = arena, .end = end, .patterns = patterns_of(end)};
	end->message = redacted(&judging, end->message, MESSAGE_MAX);
	if (end->context.length > 0) {
		char *pairs = arena_copy(arena, end->context.bytes, end->context.length);
		judging.full = judging.full || pairs == NULL;
		end->context.bytes = pairs;
		end->context.length =
		        pairs == NULL ? 0 : redact_values(&judging, pairs, end->context.length);
	}
	end->patterns = (struct texts){.bytes = NULL};
	return !judging.full;
}

bool verdict_make(struct arena *arena, const struct end *end, const struct line *line,
                  struct log_end *log, struct verdict *ret_verdict)
{
	struct verdict verdict = {.failed = false};
	agent_exit_init(&verdict.exit);
	struct judging judging = {.arena = arena,
	                          .end = end,
	                          .line = line,
	                          .patterns = patterns_of(end),
	                          .exit = &verdict.exit};
	observe(&judging);
	fill_pod(&judging);
	fill_line(&judging);
	fill_context(&judging);
	read_output(&judging, log);
	if (line == NULL && judging.snippet.length > 0)
		verdict.exit.payload_snippet =
		        keep(&judging, judging.snippet.text, judging.snippet.length);
	judge_cause(&judging);

	verdict.failed = judging.cause != CAUSE_COMPLETED;
	verdict.exit.silent = verdict.failed && end->final && end->others_run;
	verdict.record = verdict.failed || (end->kind == END_RUN && end->reason != NULL &&
	                                    strcmp(end->reason, "OOMKilled") == 0);
	if (judging.full)
		return false;
	*ret_verdict = verdict;
	return true;
}
