/*
 * lastword diagnose: what the watchdog would report of a log, and which rule decided. For
 * people who write rules (docs/diagnosis.md) or question a record.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/message.h"
#include "cli/option.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/error.h"
#include "lib/base/json_write.h"
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/normalise.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/snippet.h"
#include "webhook/config.h"

/* As much of a log's end as the watchdog has at most. */
#define LOG_MAX   ((size_t)1024 * 1024)
#define OUT_MAX   ((size_t)2 * 1024 * 1024)
#define FIELD_MAX ((size_t)64)

struct diagnosis {
	const char *path;
	const char *owner;
	const char *container;
	bool cut;
	bool json;
	struct observation observation;
	struct own_rules rules;
	struct redact_patterns patterns;
	struct redact_report redacted;
	struct snippet snippet;
};

static bool take_number(const char *text, int most, int *ret_number, struct error *error)
{
	char *end;
	long number = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || number < 0 || number > most)
		return error_set(error, "%s: expected a number from 0 to %d", text, most);
	*ret_number = (int)number;
	return true;
}

/* The rules and patterns that the watchdog would get from the configuration. */
static bool take_config(struct diagnosis *diagnosis, const char *path, struct error *error)
{
	struct config *config;
	bool taken = true;
	if (!config_load(path, &config, error))
		return false;
	for (size_t i = 0; taken && i < config->diagnosis_rules.count; i++)
		taken = own_rules_add(&diagnosis->rules, config->diagnosis_rules.items[i], error);
	for (size_t i = 0; taken && i < config->redact.count; i++)
		taken = redact_patterns_add(&diagnosis->patterns, config->redact.items[i], error);
	config_free(config);
	return taken;
}

static bool take_option(void *context, int flag, const char *value, struct error *error)
{
	struct diagnosis *diagnosis = context;
	struct observation *o = &diagnosis->observation;
	int kills = 0;
	switch (flag) {
	case FLAG_FILENAME:
		diagnosis->path = value;
		return true;
	case FLAG_OUTPUT:
		diagnosis->json = strcmp(value, "json") == 0;
		return option_is_word(manual_find("diagnose"), FLAG_OUTPUT, value, error);
	case FLAG_CONFIG:
		return take_config(diagnosis, value, error);
	case FLAG_EXIT:
		o->ended = ENDED_EXITED;
		return take_number(value, 255, &o->exit_code, error);
	case FLAG_SIGNAL:
		o->ended = ENDED_SIGNALED;
		if (!take_number(value, 64, &o->signal, error))
			return false;
		o->exit_code = 128 + o->signal;
		return true;
	case FLAG_OOM_KILLS:
		if (!take_number(value, 1000000, &kills, error))
			return false;
		o->oom_kills = (uint64_t)kills;
		return true;
	case FLAG_CUT:
		diagnosis->cut = true;
		return true;
	case FLAG_RULE:
		return own_rules_add(&diagnosis->rules, value, error);
	case FLAG_REDACT:
		return redact_patterns_add(&diagnosis->patterns, value, error);
	case FLAG_OWNER:
		diagnosis->owner = value;
		return true;
	default:
		diagnosis->container = value;
		return true;
	}
}

/* -1: go on; else the exit status, after a message. */
static int read_options(int argc, char **argv, struct diagnosis *diagnosis)
{
	int status = option_read(argc, argv, manual_find("diagnose"), take_option, diagnosis);
	if (status >= 0)
		return status;
	if (optind < argc)
		message("diagnose", "unexpected argument \"%s\"; see --help", argv[optind]);
	else if (diagnosis->path == NULL)
		message("diagnose", "expected a log: -f FILE, or -f - for standard input");
	else
		return -1;
	return EXIT_USAGE;
}

/* "llm.rules:12", or "--rule 2" of the command line; NULL: no rule. */
static const char *rule_place(unsigned rule, char storage[FIELD_MAX])
{
	if (rule == RULE_NONE)
		return NULL;
	if (rule < rules_builtin.rule_count)
		return rules_builtin_places[rule];
	snprintf(storage, FIELD_MAX, "--rule %u", rule - (unsigned)rules_builtin.rule_count + 1);
	return storage;
}

struct result {
	enum cause cause;
	const char *evidence;
	const char *detail;
	const char *rule;        /* that made the line the statement */
	const char *detail_rule; /* that gave the detail */
	char storage[2][FIELD_MAX];
	char summary_storage[SUMMARY_SIZE_MAX + 1];
	char fingerprint[FINGERPRINT_SIZE];
	char normalised_storage[SNIPPET_SIZE_MAX + 1];
	struct buffer summary;
	struct buffer normalised;
};

static void conclude(struct diagnosis *diagnosis, struct buffer *log, struct result *result)
{
	struct snippet *snippet = &diagnosis->snippet;
	log->length = redact(&diagnosis->patterns, diagnosis->cut, log->data, log->length,
	                     &diagnosis->redacted);
	snippet_pick(&diagnosis->rules, log->data, log->length, snippet);
	diagnosis->observation.snippet = snippet;
	result->cause = classify(&diagnosis->observation, &result->evidence);
	result->detail = classify_detail(&diagnosis->observation, result->cause);
	result->rule = rule_place(snippet->rule, result->storage[0]);
	result->detail_rule = rule_place(snippet->detail_rule, result->storage[1]);
	buffer_init_fixed(&result->summary, result->summary_storage,
	                  sizeof result->summary_storage);
	buffer_init_fixed(&result->normalised, result->normalised_storage,
	                  sizeof result->normalised_storage);
	classify_summary(&diagnosis->observation, result->cause, &result->summary);
	normalise(snippet->statement, snippet->statement_length, &result->normalised);
	fingerprint(diagnosis->owner, diagnosis->container, cause_name(result->cause),
	            snippet->statement, snippet->statement_length, result->fingerprint);
}

static void write_json(const struct diagnosis *diagnosis, const struct result *result,
                       const struct buffer *log, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_member(&writer, "error_type", cause_name(result->cause));
	json_write_member(&writer, "detail", result->detail);
	json_write_member(&writer, "evidence", result->evidence);
	json_write_member(&writer, "rule", result->rule);
	json_write_member(&writer, "detail_rule", result->detail_rule);
	json_write_member(&writer, "summary", buffer_text(&result->summary));
	json_write_member(&writer, "payload_snippet", diagnosis->snippet.text);
	json_write_member(&writer, "statement", diagnosis->snippet.statement);
	json_write_member(&writer, "normalised", buffer_text(&result->normalised));
	json_write_member(&writer, "fingerprint", result->fingerprint);
	json_write_member_integer(&writer, "redactions", (int64_t)diagnosis->redacted.redactions);
	json_write_key(&writer, "log");
	json_write_string_n(&writer, log->data, log->length);
	json_write_object_end(&writer);
	buffer_append_char(out, '\n');
}

static void write_field(struct buffer *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buffer_printf(out, "%-13s", name);
	terminal_line(out, value);
	buffer_append_char(out, '\n');
}

static void write_text(const struct diagnosis *diagnosis, const struct result *result,
                       struct buffer *out)
{
	write_field(out, "Cause:", cause_name(result->cause));
	write_field(out, "Detail:", result->detail);
	write_field(out, "Evidence:", result->evidence);
	write_field(out, "Statement by:", result->rule == NULL ? " its form" : result->rule);
	write_field(out, "Detail by:", result->detail_rule);
	write_field(out, "Summary:", buffer_text(&result->summary));
	write_field(out, "Fingerprint:", result->fingerprint);
	write_field(out, "Normalised:", buffer_text(&result->normalised));
	buffer_printf(out, "%-13s%zu\nKey log lines:\n",
	              "Redacted:", diagnosis->redacted.redactions);
	for (const char *line = diagnosis->snippet.text; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		char text[SNIPPET_SIZE_MAX + 1];
		memcpy(text, line, length);
		text[length] = '\0';
		buffer_append_text(out, "  ");
		terminal_line(out, text);
		buffer_append_char(out, '\n');
		line += length + (line[length] == '\n');
	}
}

int command_diagnose(int argc, char **argv)
{
	static struct diagnosis diagnosis = {
	        .observation = {.ended = ENDED_EXITED, .exit_code = 1}};
	static struct result result;
	struct buffer _cleanup_buffer_ log;
	struct buffer _cleanup_buffer_ out;
	struct error error;
	buffer_init(&log, LOG_MAX);
	buffer_init(&out, OUT_MAX);
	int status = read_options(argc, argv, &diagnosis);
	if (status >= 0)
		return status;
	if (!input_read(diagnosis.path, &log, &error)) {
		message("diagnose", "%s", error.message);
		return EXIT_FAILED;
	}
	buffer_append(&log, "", 0);
	conclude(&diagnosis, &log, &result);
	if (diagnosis.json)
		write_json(&diagnosis, &result, &log, &out);
	else
		write_text(&diagnosis, &result, &out);
	fputs(buffer_text(&out), stdout);
	return EXIT_OK;
}
