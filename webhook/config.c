#include "webhook/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/buffer.h"
#include "lib/base/files.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/rule_set.h"
#include "lib/document/decode.h"
#include "webhook/validate.h"

#define API_VERSION "lastword.dev/v1alpha1"

/* The tree of a configuration stays far below. */
#define ARENA_LIMIT ((size_t)64 * 1024 * 1024)

static bool decode_action(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct choice choices[] = {{"report", ACTION_REPORT}, {"kill", ACTION_KILL}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum end_action *)target = (enum end_action)value;
	return true;
}

static bool decode_signal(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || !signal_name_valid(text))
		return decode_fail(decoder, node, path,
		                   "expected a signal's name such as SIGUSR1, got %.100s",
		                   decode_shown(node));
	*(const char **)target = text;
	return true;
}

static bool decode_redact(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct error error = {""};
	if (!decode_list(decoder, node, path, target))
		return false;
	if (json_size(node) > REDACT_PATTERNS_MAX)
		return decode_fail(decoder, node, path, "expected at most %d patterns, got %zu",
		                   REDACT_PATTERNS_MAX, json_size(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!redact_pattern_check(json_string(n), &error))
			return decode_fail(decoder, n, path, "pattern \"%.60s\": %s",
			                   json_string(n), error.message);
	return true;
}

static bool decode_diagnosis_rules(struct decoder *decoder, const json *node, const char *path,
                                   void *target)
{
	struct error error = {""};
	if (!decode_list(decoder, node, path, target))
		return false;
	if (json_size(node) > OWN_RULES_MAX)
		return decode_fail(decoder, node, path, "expected at most %d rules, got %zu",
		                   OWN_RULES_MAX, json_size(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!own_rules_check(json_string(n), &error))
			return decode_fail(decoder, n, path, "rule \"%.60s\": %s", json_string(n),
			                   error.message);
	return true;
}

static bool decode_diagnosis(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	static const struct field fields[] = {
	        {"rules", decode_diagnosis_rules, offsetof(struct config, diagnosis_rules), false},
	};
	return decode_fields(decoder, node, path, fields, COUNT(fields), target);
}

/* ---- context, images ---- */

static bool decode_context_field(struct decoder *decoder, const json *node, const char *path,
                                 struct context_field *ret_field)
{
	static const struct {
		const char *prefix;
		enum context_source source;
	} sources[] = {{"label:", CONTEXT_LABEL},
	               {"annotation:", CONTEXT_ANNOTATION},
	               {"env:", CONTEXT_ENV}};
	if (!context_name_valid(json_key(node)))
		return decode_fail(
		        decoder, node, path,
		        "expected a name of letters, digits and _ that is not a report field's");
	const char *text = json_string(node);
	for (size_t i = 0; text != NULL && i < COUNT(sources); i++) {
		size_t length = strlen(sources[i].prefix);
		if (strncmp(text, sources[i].prefix, length) != 0 || text[length] == '\0')
			continue;
		*ret_field = (struct context_field){
		        .name = json_key(node), .source = sources[i].source, .key = text + length};
		return true;
	}
	return decode_fail(decoder, node, path,
	                   "expected label:KEY, annotation:KEY or env:NAME, got %.100s",
	                   decode_shown(node));
}

static bool decode_context(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	struct config *config = target;
	if (!json_is_object(node))
		return decode_fail(decoder, node, path, "expected a mapping, got %.100s",
		                   decode_shown(node));
	size_t count = json_size(node);
	config->context = arena_allocate(decoder->arena, (count + 1) * sizeof *config->context);
	if (config->context == NULL)
		return decode_no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!decode_context_field(decoder, n, decode_join(decoder, path, json_key(n)),
		                          &config->context[config->context_count++]))
			return false;
	return true;
}

static bool decode_image(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct field fields[] = {
	        {"image", decode_text, offsetof(struct image_command, image), true},
	        {"entrypoint", decode_list, offsetof(struct image_command, entrypoint), false},
	        {"cmd", decode_list, offsetof(struct image_command, cmd), false},
	};
	struct image_command *image = target;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), image))
		return false;
	if (image->entrypoint.count + image->cmd.count == 0)
		return decode_fail(decoder, node, path,
		                   "expected an entrypoint or a cmd that is not empty");
	return true;
}

static bool decode_images(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct config *config = target;
	return decode_elements(decoder, node, path, sizeof *config->images, decode_image,
	                       (void **)&config->images, &config->image_count);
}

/* ---- rules ---- */

static bool decode_operator(struct decoder *decoder, const json *node, const char *path,
                            void *target)
{
	static const struct choice operators[] = {{"In", SELECTOR_IN},
	                                          {"NotIn", SELECTOR_NOT_IN},
	                                          {"Exists", SELECTOR_EXISTS},
	                                          {"DoesNotExist", SELECTOR_NOT_EXISTS}};
	int value = 0;
	if (!decode_choice(decoder, node, path, operators, COUNT(operators), &value))
		return false;
	*(enum selector_operator *)target = (enum selector_operator)value;
	return true;
}

static bool decode_expression(struct decoder *decoder, const json *node, const char *path,
                              void *target)
{
	static const struct field fields[] = {
	        {"key", decode_text, offsetof(struct selector_expression, key), true},
	        {"operator", decode_operator, offsetof(struct selector_expression, operator), true},
	        {"values", decode_list, offsetof(struct selector_expression, values), false},
	};
	struct selector_expression *expression = target;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), expression))
		return false;
	bool wants_values =
	        expression->operator== SELECTOR_IN || expression->operator== SELECTOR_NOT_IN;
	if (wants_values != (expression->values.count > 0))
		return decode_fail(decoder, node, path, "%s",
		                   wants_values ? "In and NotIn expect values"
		                                : "Exists and DoesNotExist expect no values");
	return true;
}

struct selector {
	struct selector_expression *expressions;
	size_t count;
};

static bool decode_expressions(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	struct selector *selector = target;
	return decode_elements(decoder, node, path, sizeof *selector->expressions,
	                       decode_expression, (void **)&selector->expressions,
	                       &selector->count);
}

/* matchLabels are In expressions of one value, as in Kubernetes. */
static bool decode_labels(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct selector *selector = target;
	if (!json_is_object(node))
		return decode_fail(decoder, node, path, "expected a mapping, got %.100s",
		                   decode_shown(node));
	selector->expressions = arena_allocate(
	        decoder->arena, (json_size(node) + 1) * sizeof *selector->expressions);
	if (selector->expressions == NULL)
		return decode_no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		const char **value = arena_allocate(decoder->arena, sizeof *value);
		if (value == NULL)
			return decode_no_memory(decoder);
		*value = json_string(n); /* "" is a label's value too */
		if (*value == NULL)
			return decode_fail(decoder, n, decode_join(decoder, path, json_key(n)),
			                   "expected a string, got %.100s", decode_shown(n));
		selector->expressions[selector->count++] =
		        (struct selector_expression){.key = json_key(n),
		                                     .operator= SELECTOR_IN,
		                                     .values = {.items = value, .count = 1}};
	}
	return true;
}

struct match {
	struct strings namespaces;
	struct selector labels;
	struct selector expressions;
};

static bool decode_match(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct field fields[] = {
	        {"namespaces", decode_list, offsetof(struct match, namespaces), false},
	        {"matchLabels", decode_labels, offsetof(struct match, labels), false},
	        {"matchExpressions", decode_expressions, offsetof(struct match, expressions),
	         false},
	};
	struct rule *rule = target;
	struct match match = {0};
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), &match))
		return false;
	rule->namespaces = match.namespaces;
	rule->selector_count = match.labels.count + match.expressions.count;
	rule->selector =
	        arena_allocate(decoder->arena, (rule->selector_count + 1) * sizeof *rule->selector);
	if (rule->selector == NULL)
		return decode_no_memory(decoder);
	if (match.labels.count > 0)
		memcpy(rule->selector, match.labels.expressions,
		       match.labels.count * sizeof *rule->selector);
	if (match.expressions.count > 0)
		memcpy(rule->selector + match.labels.count, match.expressions.expressions,
		       match.expressions.count * sizeof *rule->selector);
	return true;
}

static bool decode_rule_mode(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	static const struct choice choices[] = {{"enforce", false}, {"shadow", true}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

static bool decode_message_policy(struct decoder *decoder, const json *node, const char *path,
                                  void *target)
{
	static const struct choice choices[] = {{"FallbackToLogsOnError", false}, {"keep", true}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

static bool decode_silent_exit(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct choice choices[] = {{"report", false}, {"fail-pod", true}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

static bool decode_shim_off(struct decoder *decoder, const json *node, const char *path,
                            void *target)
{
	/* YAML 1.1 reads a bare off as false. */
	static const struct choice choices[] = {{"auto", false}, {"off", true}};
	int value = true;
	if (!(json_is_bool(node) && !json_is_true(node)) &&
	    !decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

/* The sidecar's resources in pods of this rule; each of them is optional. */
static bool decode_rule_sidecar(struct decoder *decoder, const json *node, const char *path,
                                void *target)
{
	static const struct field fields[] = {
	        {"resources", decode_resources, offsetof(struct rule, sidecar_resources), true},
	};
	struct rule *rule = target;
	rule->has_sidecar_resources = true;
	return decode_fields(decoder, node, path, fields, COUNT(fields), rule);
}

static bool decode_rule(struct decoder *decoder, const json *node, const char *path, void *target)
{
#define SHIM(member) offsetof(struct rule, shim.member)
	static const struct field fields[] = {
	        {"name", decode_text, offsetof(struct rule, name), true},
	        {"mode", decode_rule_mode, offsetof(struct rule, shadow), false},
	        {"match", decode_match, 0, false},
	        {"names", decode_list, offsetof(struct rule, names), false},
	        {"terminationMessagePolicy", decode_message_policy,
	         offsetof(struct rule, keep_termination_message_policy), false},
	        {"resources", decode_resources, offsetof(struct rule, resources), false},
	        {"sidecar", decode_rule_sidecar, 0, false},
	        {"shim", decode_shim_off, offsetof(struct rule, shim_off), false},
	        {"onSilentExit", decode_silent_exit, offsetof(struct rule, fail_when_silent),
	         false},
	        {"deadline", decode_duration, SHIM(deadline), false},
	        {"silenceAfter", decode_duration, SHIM(silence_after), false},
	        {"onDeadline", decode_action, SHIM(on_deadline), false},
	        {"onSilence", decode_action, SHIM(on_silence), false},
	        {"doneFile", decode_path, SHIM(done_file), false},
	        {"flushSignal", decode_signal, SHIM(flush_signal), false},
	};
#undef SHIM
	return decode_fields(decoder, node, path, fields, COUNT(fields), target);
}

static bool decode_rules(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct config *config = target;
	return decode_elements(decoder, node, path, sizeof *config->rules, decode_rule,
	                       (void **)&config->rules, &config->rule_count);
}

/* ---- The file ---- */

static bool decode_api_version(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	(void)target;
	if (!json_string_is(node, API_VERSION))
		return decode_fail(decoder, node, path, "expected " API_VERSION ", got %.100s",
		                   decode_shown(node));
	return true;
}

static bool decode_kind(struct decoder *decoder, const json *node, const char *path, void *target)
{
	(void)target;
	if (!json_string_is(node, "Config"))
		return decode_fail(decoder, node, path, "expected Config, got %.100s",
		                   decode_shown(node));
	return true;
}

static bool decode_config(struct decoder *decoder, const json *root, struct config *config)
{
	static const struct field fields[] = {
	        {"apiVersion", decode_api_version, 0, true},
	        {"kind", decode_kind, 0, true},
	        {"sidecar", decode_sidecar, offsetof(struct config, sidecar), true},
	        {"context", decode_context, 0, false},
	        {"automaticDefaultContainers", decode_list,
	         offsetof(struct config, automatic_default_containers), false},
	        {"parsedTerminationMessages", decode_list, offsetof(struct config, parsed_messages),
	         false},
	        {"knownSidecars", decode_list, offsetof(struct config, known_sidecars), false},
	        {"initSystems", decode_list, offsetof(struct config, init_systems), false},
	        {"runtimeClasses", decode_list, offsetof(struct config, runtime_classes), false},
	        {"resolveImages", decode_list, offsetof(struct config, resolve_images), false},
	        {"images", decode_images, 0, false},
	        {"redact", decode_redact, offsetof(struct config, redact), false},
	        {"diagnosis", decode_diagnosis, 0, false},
	        {"rules", decode_rules, 0, true},
	};
	return decode_fields(decoder, root, "", fields, COUNT(fields), config);
}

/* Labels, annotations and variables that are looked up in a pod. */
static size_t count_lookups(const struct config *config)
{
	size_t lookups = config->context_count + 2 * config->automatic_default_containers.count;
	for (size_t i = 0; i < config->rule_count; i++)
		lookups += 1 + config->rules[i].selector_count;
	return lookups;
}

static bool parse_into(struct config *config, const char *text, size_t length, struct error *error)
{
	struct yaml_document *document;
	if (!yaml_parse_one(config->arena, text, length, &document, error))
		return false;
	struct decoder decoder = {.arena = config->arena, .document = document, .error = error};
	bool decoded = decode_config(&decoder, document->root, config);
	/* The hash names a snapshot; it protects nothing. */
	snprintf(config->hash, sizeof config->hash, "%016" PRIx64, hash_bytes(text, length));
	config->lookups = count_lookups(config);
	return decoded;
}

bool config_parse(const char *text, size_t length, struct config **ret_config, struct error *error)
{
	if (length > CONFIG_SIZE_MAX)
		return error_set(error, "expected at most %zu bytes, got %zu", CONFIG_SIZE_MAX,
		                 length);
	struct config *config = calloc(1, sizeof *config);
	if (config != NULL)
		config->arena = arena_new(ARENA_LIMIT);
	if (config == NULL || config->arena == NULL) {
		config_free(config);
		return error_set(error, "no memory for the configuration");
	}
	if (!parse_into(config, text, length, error)) {
		config_free(config);
		return false;
	}
	*ret_config = config;
	return true;
}

bool config_load(const char *path, struct config **ret_config, struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, CONFIG_SIZE_MAX + 1);
	if (!file_read(path, &text, error))
		return false;
	if (!config_parse(buffer_text(&text), text.length, ret_config, error))
		return error_wrap(error, "%s", path);
	return true;
}

void config_set_default_image(struct config *config, const char *image)
{
	if (image != NULL && config->sidecar.image_is_default)
		config->sidecar.image = image;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	arena_free(config->arena);
	free(config);
}
