#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/kube_list.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/shipped_config.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/http/url.h"
#include "lib/kube/version.h"
#include "observer/pod/silence.h"
#include "webhook/admission.h"
#include "webhook/config.h"

#define OUTPUT_MAX   ((size_t)256 * 1024 * 1024)
#define VERSION_MAX  ((size_t)1024 * 1024)
#define PAGE_PODS    250
#define SILENT_AFTER (30 * SECOND) /* as the observer has it by default */
#define CELL_COUNT   7
#define GROUPS_MAX   10000

/* A container that failed. */
struct finding {
	int64_t time; /* since when it is silent, or when it failed */
	const char *cells[CELL_COUNT];
};

struct findings {
	struct finding *items;
	size_t count;
	size_t capacity;
};

/* Pods of a namespace that a rule matches. */
struct rule_pods {
	const char *namespace;
	const char *rule;
	size_t pods;
	size_t injected; /* already */
};

struct scan {
	const struct record_options *options;
	struct admission_context context;
	struct arena *arena; /* for what outlives a page */
	struct findings silent;
	struct findings failed;
	struct rule_pods *groups;
	size_t group_count;
	size_t pods;
	bool full; /* memory, or GROUPS_MAX */
};

/* ---- One pod ---- */

static const char *keep(struct scan *scan, const char *text)
{
	struct buffer _cleanup_buffer_ safe;
	buffer_init(&safe, OUTPUT_MAX);
	terminal_line(&safe, text == NULL || text[0] == '\0' ? "-" : text);
	const char *kept = arena_copy(scan->arena, buffer_text(&safe), safe.length);
	scan->full = scan->full || kept == NULL;
	return kept == NULL ? "" : kept;
}

static struct finding *add_finding(struct scan *scan, struct findings *findings, int64_t time)
{
	if (findings->count == findings->capacity) {
		size_t capacity = findings->capacity == 0 ? 64 : findings->capacity * 2;
		struct finding *items = realloc(findings->items, capacity * sizeof *items);
		if (items == NULL) {
			scan->full = true;
			return NULL;
		}
		findings->items = items;
		findings->capacity = capacity;
	}
	struct finding *finding = &findings->items[findings->count++];
	*finding = (struct finding){.time = time};
	return finding;
}

/* The containers that still run beside the failed one. */
static void append_running(struct buffer *out, const struct pod *pod, const char *name)
{
	for (const json *n = pod_first_other(pod, name); n != NULL; n = pod_next_other(n, name)) {
		if (json_find(n, "state", "running", NULL) == NULL)
			continue;
		if (out->length > 0)
			buffer_append_text(out, ", ");
		buffer_append_text(out, json_get_string_or(n, "name", ""));
	}
}

static void add_failure(struct scan *scan, const struct pod *pod, const struct pod_agent *agent,
                        const struct termination *termination, const struct silence *silence)
{
	struct buffer _cleanup_buffer_ text;
	int64_t now = scan->options->now;
	bool silent = silence != NULL;
	int64_t time = silent ? silence->failed_at : termination->finished_at;
	struct finding *finding = add_finding(scan, silent ? &scan->silent : &scan->failed, time);
	if (finding == NULL)
		return;
	buffer_init(&text, OUTPUT_MAX);
	finding->cells[0] = keep(scan, pod->namespace);
	finding->cells[1] = keep(scan, pod->name);
	finding->cells[2] = keep(scan, agent->name);
	buffer_printf(&text, "%d", termination->exit_code);
	finding->cells[3] = keep(scan, buffer_text(&text));
	finding->cells[4] = keep(scan, termination->reason);
	buffer_clear(&text);
	if (time > 0)
		terminal_age(&text, now - time);
	finding->cells[5] = keep(scan, buffer_text(&text));
	buffer_clear(&text);
	if (silent)
		append_running(&text, pod, agent->name);
	else
		buffer_printf(&text, "%lld", (long long)termination->restart_count);
	finding->cells[6] = keep(scan, buffer_text(&text));
}

/* The newest run of the container that has ended, if it failed. */
static void look_at_agent(struct scan *scan, struct arena *arena, const struct pod *pod,
                          const struct pod_agent *agent)
{
	struct termination terminations[2];
	struct silence silence;
	size_t count = termination_read(arena, pod, agent, terminations);
	const struct termination *last = count == 0 ? NULL : &terminations[count - 1];
	if (last == NULL || last->kind != TERMINATION_REPORTED || last->exit_code == 0)
		return;
	int64_t now = scan->options->now;
	bool silent = !pod->terminal &&
	              silence_read(pod, agent, last, false, SILENT_AFTER, now, &silence) &&
	              silence.end == SILENCE_LASTS && silence.confirmed_at > 0 &&
	              silence.confirmed_at <= now;
	add_failure(scan, pod, agent, last, silent ? &silence : NULL);
}

static struct rule_pods *find_group(struct scan *scan, const char *namespace, const char *rule)
{
	for (size_t i = 0; i < scan->group_count; i++)
		if (strcmp(scan->groups[i].namespace, namespace) == 0 &&
		    strcmp(scan->groups[i].rule, rule) == 0)
			return &scan->groups[i];
	if (scan->group_count == GROUPS_MAX) {
		scan->full = true;
		return NULL;
	}
	struct rule_pods *group = &scan->groups[scan->group_count++];
	*group = (struct rule_pods){.namespace = keep(scan, namespace), .rule = keep(scan, rule)};
	return group;
}

/* What the webhook would decide if the pod were created now. */
static void decide(struct scan *scan, struct arena *arena, const struct pod *pod, json *object)
{
	struct injection injection;
	injection_make(&scan->context, pod->namespace, arena, object, &injection);
	bool matched = pod->injected || injection.result == ADMISSION_INJECTED ||
	               injection.result == ADMISSION_UNCHANGED ||
	               injection.result == ADMISSION_SHADOW;
	const struct rule *rule = injection.plan.rule;
	if (!matched || rule == NULL)
		return;
	struct rule_pods *group = find_group(scan, pod->namespace, rule->name);
	if (group == NULL)
		return;
	group->pods++;
	group->injected += pod->injected;
}

static bool look_at_pod(void *context, struct arena *arena, json *item, struct error *error)
{
	struct scan *scan = context;
	struct pod pod;
	struct error ignored;
	if (!pod_read(arena, item, &pod, &ignored))
		return true;
	scan->pods++;
	for (size_t i = 0; i < pod.agent_count; i++)
		look_at_agent(scan, arena, &pod, &pod.agents[i]);
	decide(scan, arena, &pod, item);
	return !scan->full || error_set(error, "too many pods, or no memory: choose a namespace");
}

static void restart(void *context)
{
	struct scan *scan = context;
	arena_reset(scan->arena);
	scan->silent.count = scan->failed.count = 0;
	scan->group_count = scan->pods = 0;
}

/* ---- The report ---- */

static int compare_findings(const void *a, const void *b)
{
	const struct finding *left = a;
	const struct finding *right = b;
	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	return strcmp(left->cells[1], right->cells[1]);
}

static void draw(struct buffer *out, const struct table_column *columns, size_t count,
                 const char **cells, size_t rows)
{
	struct table table = {.columns = columns, .count = count, .width = terminal_width()};
	table_print(out, &table, cells, rows);
}

/* color: of the title, where there is anything. */
static bool write_findings(struct buffer *out, const char *title, struct findings *findings,
                           const char *last_title, enum color color)
{
	const struct table_column columns[CELL_COUNT] = {
	        {.title = "NAMESPACE", .shrink_turn = 2, .drop_turn = 2, .min_width = 9},
	        {.title = "POD", .shrink_turn = 1, .min_width = 12, .middle = true},
	        {.title = "CONTAINER", .shrink_turn = 4, .min_width = 9},
	        {.title = "EXIT"},
	        {.title = "REASON", .shrink_turn = 3, .drop_turn = 1, .min_width = 8},
	        {.title = "AGE"},
	        {.title = last_title, .shrink_turn = 5, .drop_turn = 3, .min_width = 12},
	};
	const char **cells = calloc(findings->count * CELL_COUNT + 1, sizeof *cells);
	if (cells == NULL)
		return false;
	if (findings->count > 0)
		qsort(findings->items, findings->count, sizeof *findings->items, compare_findings);
	for (size_t i = 0; i < findings->count; i++)
		memcpy((void *)&cells[i * CELL_COUNT], findings->items[i].cells,
		       sizeof findings->items[i].cells);
	color = findings->count == 0 ? COLOR_NONE : color;
	color_begin(out, color);
	buffer_printf(out, "%s: %zu", title, findings->count);
	color_end(out, color);
	buffer_append_char(out, '\n');
	if (findings->count > 0)
		draw(out, columns, CELL_COUNT, cells, findings->count);
	buffer_append_char(out, '\n');
	free((void *)cells);
	return true;
}

static int compare_groups(const void *a, const void *b)
{
	const struct rule_pods *left = a;
	const struct rule_pods *right = b;
	int order = strcmp(left->namespace, right->namespace);
	return order != 0 ? order : strcmp(left->rule, right->rule);
}

static bool write_groups(struct buffer *out, struct scan *scan)
{
	static const struct table_column columns[] = {
	        {.title = "NAMESPACE", .shrink_turn = 2, .min_width = 9},
	        {.title = "RULE", .shrink_turn = 1, .min_width = 8},
	        {.title = "PODS"},
	        {.title = "INJECTED ALREADY", .drop_turn = 1},
	};
	enum { COLUMNS = sizeof columns / sizeof columns[0] };
	const char **cells = calloc(scan->group_count * COLUMNS + 1, sizeof *cells);
	size_t matched = 0;
	if (cells == NULL)
		return false;
	qsort(scan->groups, scan->group_count, sizeof *scan->groups, compare_groups);
	for (size_t i = 0; i < scan->group_count; i++) {
		const struct rule_pods *group = &scan->groups[i];
		cells[i * COLUMNS] = group->namespace;
		cells[i * COLUMNS + 1] = group->rule;
		cells[i * COLUMNS + 2] = arena_printf(scan->arena, "%zu", group->pods);
		cells[i * COLUMNS + 3] = arena_printf(scan->arena, "%zu", group->injected);
		scan->full = scan->full || cells[i * COLUMNS + 3] == NULL;
		matched += group->pods;
	}
	buffer_printf(out, "Pods that the webhook would inject: %zu of %zu\n", matched, scan->pods);
	if (scan->group_count > 0 && !scan->full)
		draw(out, columns, COLUMNS, cells, scan->group_count);
	free((void *)cells);
	return !scan->full;
}

static bool write_report(struct buffer *out, struct scan *scan)
{
	bool color = scan->options->color;
	if (!write_findings(out, "Silent now", &scan->silent, "STILL RUNNING",
	                    color ? COLOR_ALARM : COLOR_NONE) ||
	    !write_findings(out, "Other containers that failed", &scan->failed, "RESTART",
	                    color ? COLOR_WARNING : COLOR_NONE) ||
	    !write_groups(out, scan))
		return false;
	buffer_append_text(
	        out, "\nThe other pods match no rule, or would be left as they are: \"kubectl get\n"
	             "pod NAME -o yaml | lastword explain -c CONFIG -f -\" says why.\n"
	             "\n"
	             "To install lastword, and to opt a namespace in:\n"
	             "  kubectl apply -k manifests/overlays/self-signed\n"
	             "  kubectl label namespace NAMESPACE lastword.dev/inject=enabled\n");
	return true;
}

/* ---- The command ---- */

static bool load_config(const char *path, struct config **ret_config, struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, CONFIG_SIZE_MAX + 1);
	if (path == NULL)
		return config_parse(shipped_config, strlen(shipped_config), ret_config, error);
	return input_read(path, &text, error) &&
	       (config_parse(buffer_text(&text), text.length, ret_config, error) ||
	        error_wrap(error, "%s", path));
}

/* Of the API server; unknown where it does not say it. */
static unsigned read_minor(const struct kubectl *kubectl)
{
	struct error ignored;
	unsigned minor = 0;
	struct arena *_cleanup_arena_ arena = arena_new(VERSION_MAX);
	const json *version =
	        arena == NULL ? NULL
	                      : kubectl_get_json(kubectl, "/version", VERSION_MAX, arena, &ignored);
	kube_version_parse(json_get_string_or(version, "gitVersion", ""), &minor, &ignored);
	return minor;
}

static bool read_pods(struct scan *scan, struct error *error)
{
	const struct exit_source *source = &scan->options->source;
	struct buffer _cleanup_buffer_ path;
	struct kube_list_visitor visitor = {look_at_pod, restart, scan, NULL};
	buffer_init(&path, 4096);
	buffer_append_text(&path, "/api/v1");
	if (source->namespace != NULL) {
		buffer_append_text(&path, "/namespaces/");
		url_escape(&path, source->namespace);
	}
	buffer_printf(&path, "/pods?limit=%d", PAGE_PODS);
	return kube_list_visit(&source->kubectl, buffer_text(&path), &visitor, error);
}

static int run(struct scan *scan)
{
	struct buffer _cleanup_buffer_ out;
	struct error error;
	buffer_init(&out, OUTPUT_MAX);
	if (!read_pods(scan, &error)) {
		message(scan->options->command, "%s", error.message);
		return EXIT_FAILED;
	}
	if (!write_report(&out, scan))
		out.failed = true;
	return record_print(scan->options, &out);
}

int command_scan(int argc, char **argv)
{
	struct record_options options = {.command = "scan"};
	struct error error;
	struct config *config;
	int status = record_options_read(argc, argv, &options);
	if (status >= 0)
		return status;
	if (!load_config(options.config_path, &config, &error)) {
		message(options.command, "%s", error.message);
		return EXIT_FAILED;
	}
	struct scan scan = {
	        .options = &options,
	        .context = {.config = config, .server_minor = read_minor(&options.source.kubectl)},
	        .arena = arena_new(OUTPUT_MAX),
	        .groups = calloc(GROUPS_MAX, sizeof *scan.groups),
	};
	status = EXIT_FAILED;
	if (scan.arena == NULL || scan.groups == NULL)
		message(options.command, "no memory");
	else
		status = run(&scan);
	free(scan.silent.items);
	free(scan.failed.items);
	free(scan.groups);
	arena_free(scan.arena);
	config_free(config);
	return status;
}
