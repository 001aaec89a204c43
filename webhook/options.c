#include "webhook/options.h"

#include <string.h>

#include "lib/base/duration.h"
#include "lib/document/quantity.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"
#include "webhook/validate.h"

/* ---- Reading one annotation into one option ---- */

struct reader {
	struct arena *arena;
	struct plan *plan;
};

static void read_duration(struct reader *reader, const char *key, const char *text, void *target)
{
	struct error error;
	int64_t value;
	if (!duration_parse(text, &value, &error))
		plan_warn(reader->arena, reader->plan, "lastword: annotation %s ignored: %.120s",
		          key, error.message);
	else if (value < 0)
		plan_warn(reader->arena, reader->plan,
		          "lastword: annotation %s ignored: expected a duration of 0 or more, got "
		          "\"%.60s\"",
		          key, text);
	else
		*(int64_t *)target = value;
}

static void read_action(struct reader *reader, const char *key, const char *text, void *target)
{
	if (strcmp(text, "report") == 0)
		*(enum end_action *)target = ACTION_REPORT;
	else if (strcmp(text, "kill") == 0)
		*(enum end_action *)target = ACTION_KILL;
	else
		plan_warn(reader->arena, reader->plan,
		          "lastword: annotation %s ignored: expected report or kill, got \"%.60s\"",
		          key, text);
}

static void read_path(struct reader *reader, const char *key, const char *text, void *target)
{
	enum { PATH_LENGTH_MAX = 4096 };
	if (text[0] == '/' && text[1] != '\0' && strlen(text) < PATH_LENGTH_MAX)
		*(const char **)target = text;
	else
		plan_warn(
		        reader->arena, reader->plan,
		        "lastword: annotation %s ignored: expected an absolute path, got \"%.60s\"",
		        key, text);
}

static void read_signal(struct reader *reader, const char *key, const char *text, void *target)
{
	if (signal_name_valid(text))
		*(const char **)target = text;
	else
		plan_warn(reader->arena, reader->plan,
		          "lastword: annotation %s ignored: expected a signal's name such as "
		          "SIGUSR1, "
		          "got \"%.60s\"",
		          key, text);
}

static void read_bool(struct reader *reader, const char *key, const char *text, void *target)
{
	(void)target; /* options_opted_out() reads it */
	static const char *const known[] = {"true", "false", "1",    "0",     "t",    "f",
	                                    "T",    "F",     "True", "False", "TRUE", "FALSE"};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(text, known[i]) == 0)
			return;
	plan_warn(reader->arena, reader->plan,
	          "lastword: annotation %s ignored: expected true or false, got \"%.60s\"", key,
	          text);
}

static void read_shim(struct reader *reader, const char *key, const char *text, void *target)
{
	(void)target; /* options_shim_off() reads it */
	if (strcmp(text, "auto") != 0 && strcmp(text, "off") != 0)
		plan_warn(reader->arena, reader->plan,
		          "lastword: annotation %s ignored: expected auto or off, got \"%.60s\"",
		          key, text);
}

/* A quantity for the sidecar, or "none": it gets none. */
static void read_quantity(struct reader *reader, const char *key, const char *text, void *target)
{
	struct quantity value;
	if (strcmp(text, "none") == 0 ||
	    (quantity_parse(text, &value, NULL) && quantity_is_positive(&value)))
		*(const char **)target = text;
	else
		plan_warn(reader->arena, reader->plan,
		          "lastword: annotation %s ignored: expected a quantity such as 50m or "
		          "32Mi, or none, got \"%.60s\"",
		          key, text);
}

static void read_elsewhere(struct reader *reader, const char *key, const char *text, void *target)
{
	(void)reader;
	(void)key;
	(void)text;
	(void)target;
}

#define SHIM(member)         offsetof(struct plan, shim.member)
#define WISH(kind, resource) offsetof(struct plan, sidecar_wishes.kind[resource])

static const struct annotation {
	const char *name; /* after lastword.dev/ */
	void (*read)(struct reader *reader, const char *key, const char *text, void *target);
	size_t offset; /* of the target in struct plan */
} annotations[] = {
        {"inject", read_bool, 0},
        {"containers", read_elsewhere, 0}, /* select.c */
        {"shim", read_shim, 0},
        {"command", read_elsewhere, 0}, /* options_command() */
        {"deadline", read_duration, SHIM(deadline)},
        {"silence-after", read_duration, SHIM(silence_after)},
        {"on-deadline", read_action, SHIM(on_deadline)},
        {"on-silence", read_action, SHIM(on_silence)},
        {"done-file", read_path, SHIM(done_file)},
        {"flush-signal", read_signal, SHIM(flush_signal)},
        {"sidecar-cpu", read_quantity, WISH(requests, RESOURCE_CPU)},
        {"sidecar-cpu-limit", read_quantity, WISH(limits, RESOURCE_CPU)},
        {"sidecar-memory", read_quantity, WISH(requests, RESOURCE_MEMORY)},
        {"sidecar-memory-limit", read_quantity, WISH(limits, RESOURCE_MEMORY)},
        {"status", read_elsewhere, 0}, /* ours */
};

static void read_annotation(struct reader *reader, const json *node)
{
	const char *key = json_key(node);
	if (strncmp(key, KEY_PREFIX, sizeof KEY_PREFIX - 1) != 0 ||
	    strncmp(key, KEY_CONTEXT, sizeof KEY_CONTEXT - 1) == 0)
		return;
	const char *text = json_string(node);
	const char *name = key + sizeof KEY_PREFIX - 1;
	for (size_t i = 0; text != NULL && i < sizeof annotations / sizeof annotations[0]; i++) {
		if (strcmp(annotations[i].name, name) != 0)
			continue;
		char *target = (char *)reader->plan + annotations[i].offset;
		annotations[i].read(reader, key, text, target);
		return;
	}
	plan_warn(reader->arena, reader->plan, "lastword: annotation %.100s is not known", key);
}

void options_read(struct arena *arena, const json *pod, struct plan *plan)
{
	plan->shim = plan->rule->shim;
	struct reader reader = {.arena = arena, .plan = plan};
	const json *all = json_get_in(pod, "metadata", "annotations");
	for (const json *node = json_first(all); node != NULL; node = json_next(node))
		read_annotation(&reader, node);
}

bool options_opted_out(const json *pod)
{
	static const char *const no[] = {"false", "0", "f", "F", "False", "FALSE"};
	const char *text = pod_annotation(pod, KEY_PREFIX "inject");
	for (size_t i = 0; text != NULL && i < sizeof no / sizeof no[0]; i++)
		if (strcmp(text, no[i]) == 0)
			return true;
	return false;
}

bool options_shim_off(const json *pod, const struct rule *rule)
{
	const char *text = pod_annotation(pod, KEY_PREFIX "shim");
	if (text != NULL && strcmp(text, "off") == 0)
		return true;
	return rule->shim_off && !(text != NULL && strcmp(text, "auto") == 0);
}

bool options_command(struct arena *arena, const json *pod, struct plan *plan,
                     struct strings *ret_command)
{
	const char *text = pod_annotation(pod, KEY_PREFIX "command");
	if (text == NULL)
		return false;

	json *array;
	struct error error;
	if (json_parse(arena, text, strlen(text), 0, &array, &error) != JSON_FAITHFUL ||
	    !is_string_array(array)) {
		plan_warn(arena, plan,
		          "lastword: annotation lastword.dev/command ignored: expected a JSON "
		          "array of "
		          "strings, such as [\"/usr/bin/agent\"]");
		return false;
	}
	struct strings command = {.items =
	                                  arena_allocate(arena, json_size(array) * sizeof(char *))};
	if (command.items == NULL)
		return false;
	for (const json *n = json_first(array); n != NULL; n = json_next(n))
		command.items[command.count++] = json_string(n);
	*ret_command = command;
	return true;
}

/* ---- Context ---- */

static const char *context_source_value(const struct context_field *field, const json *pod,
                                        const json *env_container)
{
	if (field->source == CONTEXT_LABEL)
		return pod_label(pod, field->key);
	if (field->source == CONTEXT_ANNOTATION)
		return pod_annotation(pod, field->key);
	const json *env = json_get(env_container, "env");
	for (const json *n = json_first(env); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), field->key))
			return json_get_string(n, "value");
	return NULL;
}

/* Adds or replaces; the value is cut to CONTEXT_VALUE_MAX. */
static bool put_context(struct arena *arena, struct plan *plan, const char *name, const char *value)
{
	size_t length = strlen(value);
	if (length > CONTEXT_VALUE_MAX) {
		length = CONTEXT_VALUE_MAX;
		while (length > 0 && ((unsigned char)value[length] & 0xC0) == 0x80)
			length--;
	}
	const char *copy = arena_copy(arena, value, length);
	if (copy == NULL)
		return false;
	size_t i = 0;
	while (i < plan->context_count && strcmp(plan->context[i].name, name) != 0)
		i++;
	plan->context[i] = (struct context_value){.name = name, .value = copy};
	if (i == plan->context_count)
		plan->context_count++;
	return true;
}

bool options_context(struct arena *arena, const struct config *config, const json *pod,
                     const json *env, struct plan *plan)
{
	enum { ANNOTATED_MAX = 32 };
	plan->context_count = 0;
	plan->context = arena_allocate(arena, (config->context_count + ANNOTATED_MAX) *
	                                              sizeof *plan->context);
	if (plan->context == NULL)
		return false;

	for (size_t i = 0; i < config->context_count; i++) {
		const char *value = context_source_value(&config->context[i], pod, env);
		if (value != NULL && value[0] != '\0' &&
		    !put_context(arena, plan, config->context[i].name, value))
			return false;
	}
	size_t annotated = 0;
	const json *all = json_get_in(pod, "metadata", "annotations");
	for (const json *node = json_first(all); node != NULL; node = json_next(node)) {
		const char *key = json_key(node);
		if (strncmp(key, KEY_CONTEXT, sizeof KEY_CONTEXT - 1) != 0 || !json_is_string(node))
			continue;
		const char *name = key + sizeof KEY_CONTEXT - 1;
		if (!context_name_valid(name) || annotated == ANNOTATED_MAX) {
			plan_warn(
			        arena, plan, "lastword: annotation %.100s ignored: %s", key,
			        annotated == ANNOTATED_MAX
			                ? "too many of them"
			                : "expected a name of letters, digits and _ that no report "
			                  "field has");
			continue;
		}
		annotated++;
		if (!put_context(arena, plan, name, json_string(node)))
			return false;
	}
	return true;
}
