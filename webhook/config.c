#include "webhook/config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/files.h"
#include "lib/document/json.h"
#include "lib/document/quantity.h"
#include "lib/diagnosis/redact.h"
#include "lib/document/yaml.h"
#include "webhook/options.h"

#define API_VERSION "lastword.dev/v1alpha1"

/* Trees of configurations stay far below. */
#define ARENA_LIMIT ((size_t)64 * 1024 * 1024)

#define RING_SIZE_DEFAULT (INT64_C(64) * 1024)
#define RING_SIZE_MIN     (INT64_C(4) * 1024)
#define RING_SIZE_MAX     (INT64_C(4) * 1024 * 1024)
#define TAIL_SIZE_DEFAULT (INT64_C(4) * 1024)
#define TAIL_SIZE_MAX     (INT64_C(8) * 1024) /* a report line stays below 16 KiB, escaped */
#define USER_DEFAULT      65511

const char *const resource_names[RESOURCE_COUNT] = {
        [RESOURCE_CPU] = "cpu",
        [RESOURCE_MEMORY] = "memory",
        [RESOURCE_EPHEMERAL_STORAGE] = "ephemeral-storage",
};

/* ---- Decoding: tables of keys, one function for each type of value ---- */

struct decoder {
	struct arena *arena;
	const struct yaml_document *document;
	struct error *error;
};

/* Where a value goes: key by key, each with the function that reads it. */
struct field {
	const char *key;
	bool (*decode)(struct decoder *decoder, const json *node, const char *path, void *target);
	size_t offset;
	bool required;
};

static bool fail(struct decoder *decoder, const json *node, const char *path, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

static bool fail(struct decoder *decoder, const json *node, const char *path, const char *format,
                 ...)
{
	char what[ERROR_MESSAGE_SIZE / 2];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);

	unsigned line = 0;
	unsigned column = 0;
	yaml_position(decoder->document, node, &line, &column);
	return error_set(decoder->error, "line %u, column %u: %s%s%s", line, column, path,
	                 path[0] == '\0' ? "" : ": ", what);
}

static bool no_memory(struct decoder *decoder)
{
	return error_set(decoder->error, "no memory for the configuration");
}

/* A value for messages: its text, or its type. */
static const char *shown(const json *node)
{
	const char *text = json_scalar_text(node);
	return text == NULL ? json_type_name(node) : text;
}

static const char *join(struct decoder *decoder, const char *path, const char *key)
{
	const char *joined =
	        arena_printf(decoder->arena, "%s%s%s", path, path[0] == '\0' ? "" : ".", key);
	return joined == NULL ? key : joined;
}

static const struct field *find_field(const struct field *fields, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

static bool fail_unknown(struct decoder *decoder, const json *member, const char *path,
                         const struct field *fields, size_t count)
{
	char storage[400];
	struct buffer known;
	buffer_init_fixed(&known, storage, sizeof storage);
	for (size_t i = 0; i < count; i++)
		buffer_printf(&known, "%s%s", i == 0 ? "" : ", ", fields[i].key);
	return fail(decoder, member, path, "unknown key \"%.100s\", expected one of %s",
	            json_key(member), buffer_text(&known));
}

static bool decode_fields(struct decoder *decoder, const json *node, const char *path,
                          const struct field *fields, size_t count, void *target)
{
	if (!json_is_object(node))
		return fail(decoder, node, path, "expected a mapping, got %.100s", shown(node));
	for (const json *member = json_first(node); member != NULL; member = json_next(member)) {
		const struct field *field = find_field(fields, count, json_key(member));
		if (field == NULL)
			return fail_unknown(decoder, member, path, fields, count);
		if (!field->decode(decoder, member, join(decoder, path, field->key),
		                   (char *)target + field->offset))
			return false;
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && json_get(node, fields[i].key) == NULL)
			return fail(decoder, node, path, "expected a key \"%s\"", fields[i].key);
	return true;
}
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- Scalars ---- */

static bool decode_text(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || text[0] == '\0')
		return fail(decoder, node, path, "expected a string that is not empty, got %.100s",
		            json_type_name(node));
	*(const char **)target = text;
	return true;
}

struct choice {
	const char *text;
	int value;
};

static bool choose(struct decoder *decoder, const json *node, const char *path,
                   const struct choice *choices, size_t count, int *ret_value)
{
	char storage[200];
	struct buffer known;
	buffer_init_fixed(&known, storage, sizeof storage);
	for (size_t i = 0; i < count; i++) {
		if (json_string_is(node, choices[i].text)) {
			*ret_value = choices[i].value;
			return true;
		}
		buffer_printf(&known, "%s%s", i == 0 ? "" : ", ", choices[i].text);
	}
	return fail(decoder, node, path, "expected one of %s, got %.100s", buffer_text(&known),
	            shown(node));
}

static bool decode_duration(struct decoder *decoder, const json *node, const char *path,
                            void *target)
{
	struct error error = {""};
	int64_t value = 0;
	const char *text = json_string(node);
	if (text == NULL || !duration_parse(text, &value, &error) || value < 0)
		return fail(decoder, node, path,
		            "expected a duration such as \"30m\" or \"1h30m\", got %.100s",
		            shown(node));
	*(int64_t *)target = value;
	return true;
}

static bool decode_action(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct choice choices[] = {{"report", ACTION_REPORT}, {"kill", ACTION_KILL}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum end_action *)target = (enum end_action)value;
	return true;
}

static bool decode_path(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || text[0] != '/' || text[1] == '\0')
		return fail(decoder, node, path, "expected an absolute path, got %.100s",
		            shown(node));
	*(const char **)target = text;
	return true;
}

bool signal_name_valid(const char *name)
{
	static const char *const names[] = {
	        "HUP",  "INT", "QUIT", "ABRT", "USR1",   "USR2", "PIPE",  "ALRM", "TERM", "CHLD",
	        "CONT", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR"};
	if (strncmp(name, "SIG", 3) != 0)
		return false;
	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(name + 3, names[i]) == 0)
			return true;
	return false;
}

static bool decode_signal(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || !signal_name_valid(text))
		return fail(decoder, node, path,
		            "expected a signal's name such as SIGUSR1, got %.100s", shown(node));
	*(const char **)target = text;
	return true;
}

static bool decode_quantity(struct decoder *decoder, const json *node, const char *path,
                            const char **ret_text)
{
	const char *text = json_scalar_text(node);
	struct quantity value;
	struct quantity zero;
	struct error error = {""};
	if (text == NULL || !quantity_parse(text, &value, &error) ||
	    !quantity_parse("0", &zero, &error) || quantity_compare(&value, &zero) < 0)
		return fail(decoder, node, path,
		            "expected a quantity such as 500m or 2Gi, not below 0, got %.100s",
		            shown(node));
	*ret_text = text;
	return true;
}

/* A size in bytes, as a quantity: 64Ki. */
static bool decode_size(struct decoder *decoder, const json *node, const char *path, int64_t least,
                        int64_t most, int64_t *ret_size)
{
	const char *text = "";
	struct quantity value;
	int64_t size;
	if (!decode_quantity(decoder, node, path, &text))
		return false;
	if (!quantity_parse(text, &value, NULL) || !quantity_to_integer(&value, &size) ||
	    size < least || size > most)
		return fail(decoder, node, path,
		            "expected a size of %" PRId64 " to %" PRId64 " bytes, got %.100s",
		            least, most, shown(node));
	*ret_size = size;
	return true;
}

static bool decode_ring_size(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	return decode_size(decoder, node, path, RING_SIZE_MIN, RING_SIZE_MAX, target);
}

static bool decode_tail_size(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	return decode_size(decoder, node, path, 0, TAIL_SIZE_MAX, target);
}

/* ---- Lists and maps ---- */

static bool decode_list(struct decoder *decoder, const json *node, const char *path, void *target)
{
	if (!json_is_array(node))
		return fail(decoder, node, path, "expected a list of strings, got %.100s",
		            shown(node));
	struct strings list = {
	        .items = arena_allocate(decoder->arena, (json_size(node) + 1) * sizeof(char *))};
	if (list.items == NULL)
		return no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!decode_text(decoder, n, path, &list.items[list.count++]))
			return false;
	*(struct strings *)target = list;
	return true;
}

static bool decode_redact(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct error error = {""};
	if (!decode_list(decoder, node, path, target))
		return false;
	if (json_size(node) > REDACT_PATTERNS_MAX)
		return fail(decoder, node, path, "expected at most %d patterns, got %zu",
		            REDACT_PATTERNS_MAX, json_size(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!redact_pattern_check(json_string(n), &error))
			return fail(decoder, n, path, "pattern \"%.60s\": %s", json_string(n),
			            error.message);
	return true;
}

static bool decode_amounts(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	const char **amounts = target;
	if (!json_is_object(node))
		return fail(decoder, node, path, "expected a mapping, got %.100s", shown(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		size_t i = 0;
		while (i < RESOURCE_COUNT && strcmp(resource_names[i], json_key(n)) != 0)
			i++;
		if (i == RESOURCE_COUNT)
			return fail(decoder, n, path,
			            "unknown resource \"%.100s\", expected one of cpu, memory, "
			            "ephemeral-storage",
			            json_key(n));
		if (!decode_quantity(decoder, n, join(decoder, path, resource_names[i]),
		                     &amounts[i]))
			return false;
	}
	return true;
}

static bool decode_resources(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	static const struct field fields[] = {
	        {"requests", decode_amounts, offsetof(struct resources, requests), false},
	        {"limits", decode_amounts, offsetof(struct resources, limits), false},
	};
	struct resources resources = {0};
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), &resources))
		return false;
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		struct quantity limit;
		struct quantity request;
		if (resources.limits[i] != NULL && resources.requests[i] != NULL &&
		    quantity_parse(resources.limits[i], &limit, NULL) &&
		    quantity_parse(resources.requests[i], &request, NULL) &&
		    quantity_compare(&limit, &request) < 0)
			return fail(decoder, node, path,
			            "the limit of %s (%s) is below its request (%s)",
			            resource_names[i], resources.limits[i], resources.requests[i]);
	}
	*(struct resources *)target = resources;
	return true;
}

/* The elements of a list of mappings, each decoded by its own function. */
static bool decode_elements(struct decoder *decoder, const json *node, const char *path,
                            size_t element_size,
                            bool (*decode)(struct decoder *, const json *, const char *, void *),
                            void **ret_elements, size_t *ret_count)
{
	if (!json_is_array(node))
		return fail(decoder, node, path, "expected a list, got %.100s", shown(node));
	size_t count = json_size(node);
	char *elements = arena_allocate(decoder->arena, (count + 1) * element_size);
	if (elements == NULL)
		return no_memory(decoder);
	size_t i = 0;
	for (const json *n = json_first(node); n != NULL; n = json_next(n), i++) {
		const char *at = arena_printf(decoder->arena, "%s[%zu]", path, i);
		if (!decode(decoder, n, at == NULL ? path : at, elements + i * element_size))
			return false;
	}
	*ret_elements = elements;
	*ret_count = count;
	return true;
}

/* ---- sidecar ---- */

static bool decode_mode(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct choice choices[] = {
	        {"auto", SIDECAR_AUTO}, {"native", SIDECAR_NATIVE}, {"classic", SIDECAR_CLASSIC}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum sidecar_mode *)target = (enum sidecar_mode)value;
	return true;
}

static bool decode_shim_source(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct choice choices[] = {{"emptyDir", SHIM_EMPTY_DIR},
	                                        {"image", SHIM_IMAGE}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum shim_source *)target = (enum shim_source)value;
	return true;
}

static bool decode_pull_policy(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct choice choices[] = {{"Always", 0}, {"IfNotPresent", 0}, {"Never", 0}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(const char **)target = json_string(node);
	return true;
}

/* A uid, or "none": the cluster chooses (OpenShift refuses uids outside the namespace's range). */
static bool decode_user(struct decoder *decoder, const json *node, const char *path, void *target)
{
	int64_t user;
	if (json_string_is(node, "none")) {
		*(int64_t *)target = -1;
		return true;
	}
	if (!json_integer(node, &user) || user < 1 || user > INT32_MAX)
		return fail(decoder, node, path, "expected a uid of 1 or more, or none, got %.100s",
		            shown(node));
	*(int64_t *)target = user;
	return true;
}

static bool decode_sidecar(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	static const struct field fields[] = {
	        {"image", decode_text, offsetof(struct sidecar_config, image), true},
	        {"imagePullPolicy", decode_pull_policy,
	         offsetof(struct sidecar_config, image_pull_policy), false},
	        {"mode", decode_mode, offsetof(struct sidecar_config, mode), false},
	        {"shim", decode_shim_source, offsetof(struct sidecar_config, shim), false},
	        {"resources", decode_resources, offsetof(struct sidecar_config, resources), true},
	        {"user", decode_user, offsetof(struct sidecar_config, user), false},
	        {"ringSize", decode_ring_size, offsetof(struct sidecar_config, ring_size), false},
	        {"tailSize", decode_tail_size, offsetof(struct sidecar_config, tail_size), false},
	        {"startTimeout", decode_duration, offsetof(struct sidecar_config, start_timeout),
	         false},
	};
	struct sidecar_config *sidecar = target;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), sidecar))
		return false;
	/* A quota or a Guaranteed pod asks for all four. */
	for (size_t i = 0; i <= RESOURCE_MEMORY; i++)
		if (sidecar->resources.requests[i] == NULL || sidecar->resources.limits[i] == NULL)
			return fail(decoder, json_get(node, "resources"), path,
			            "expected requests and limits of cpu and memory in resources");
	return true;
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
		return fail(
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
	return fail(decoder, node, path,
	            "expected label:KEY, annotation:KEY or env:NAME, got %.100s", shown(node));
}

static bool decode_context(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	struct config *config = target;
	if (!json_is_object(node))
		return fail(decoder, node, path, "expected a mapping, got %.100s", shown(node));
	size_t count = json_size(node);
	config->context = arena_allocate(decoder->arena, (count + 1) * sizeof *config->context);
	if (config->context == NULL)
		return no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!decode_context_field(decoder, n, join(decoder, path, json_key(n)),
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
		return fail(decoder, node, path,
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

static bool decode_expression(struct decoder *decoder, const json *node, const char *path,
                              void *target)
{
	static const struct choice operators[] = {{"In", SELECTOR_IN},
	                                          {"NotIn", SELECTOR_NOT_IN},
	                                          {"Exists", SELECTOR_EXISTS},
	                                          {"DoesNotExist", SELECTOR_NOT_EXISTS}};
	static const struct field fields[] = {
	        {"key", decode_text, offsetof(struct selector_expression, key), true},
	        {"values", decode_list, offsetof(struct selector_expression, values), false},
	};
	struct selector_expression *expression = target;
	const json *operator= json_get(node, "operator");
	int value = 0;
	if (operator== NULL)
		return fail(decoder, node, path, "expected a key \"operator\"");
	if (!choose(decoder, operator, join(decoder, path, "operator"), operators, COUNT(operators),
	            &value))
		return false;
	expression->operator=(enum selector_operator) value;

	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		const struct field *field = find_field(fields, COUNT(fields), json_key(n));
		if (n == operator)
			continue;
		if (field == NULL)
			return fail(decoder, n, path,
			            "unknown key \"%.100s\", expected one of key, operator, values",
			            json_key(n));
		if (!field->decode(decoder, n, join(decoder, path, field->key),
		                   (char *)expression + field->offset))
			return false;
	}
	if (expression->key == NULL)
		return fail(decoder, node, path, "expected a key \"key\"");
	bool wants_values = value == SELECTOR_IN || value == SELECTOR_NOT_IN;
	if (wants_values != (expression->values.count > 0))
		return fail(decoder, node, path, "%s",
		            wants_values ? "In and NotIn expect values"
		                         : "Exists and DoesNotExist expect no values");
	return true;
}

/* matchLabels are In expressions of one value, as in Kubernetes. */
static bool decode_labels(struct decoder *decoder, const json *labels, const char *path,
                          struct rule *rule)
{
	if (labels == NULL)
		return true;
	if (!json_is_object(labels))
		return fail(decoder, labels, path, "expected a mapping, got %.100s", shown(labels));
	for (const json *n = json_first(labels); n != NULL; n = json_next(n)) {
		const char **value = arena_allocate(decoder->arena, sizeof *value);
		if (value == NULL)
			return no_memory(decoder);
		*value = json_string(n); /* "" is a label's value too */
		if (*value == NULL)
			return fail(decoder, n, join(decoder, path, json_key(n)),
			            "expected a string, got %.100s", shown(n));
		rule->selector[rule->selector_count++] =
		        (struct selector_expression){.key = json_key(n),
		                                     .operator= SELECTOR_IN,
		                                     .values = {.items = value, .count = 1}};
	}
	return true;
}

static bool decode_match(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct rule *rule = target;
	const json *labels = json_get(node, "matchLabels");
	const json *expressions = json_get(node, "matchExpressions");
	if (!json_is_object(node))
		return fail(decoder, node, path, "expected a mapping, got %.100s", shown(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		if (n == labels || n == expressions)
			continue;
		if (strcmp(json_key(n), "namespaces") != 0)
			return fail(
			        decoder, n, path,
			        "unknown key \"%.100s\", expected one of namespaces, matchLabels, "
			        "matchExpressions",
			        json_key(n));
		if (!decode_list(decoder, n, join(decoder, path, "namespaces"), &rule->namespaces))
			return false;
	}

	void *more = NULL;
	size_t count = 0;
	if (expressions != NULL &&
	    !decode_elements(decoder, expressions, join(decoder, path, "matchExpressions"),
	                     sizeof *rule->selector, decode_expression, &more, &count))
		return false;
	rule->selector = arena_allocate(decoder->arena,
	                                (json_size(labels) + count + 1) * sizeof *rule->selector);
	if (rule->selector == NULL)
		return no_memory(decoder);
	if (!decode_labels(decoder, labels, join(decoder, path, "matchLabels"), rule))
		return false;
	if (count > 0)
		memcpy(rule->selector + rule->selector_count, more, count * sizeof *rule->selector);
	rule->selector_count += count;
	return true;
}

static bool decode_rule_mode(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	static const struct choice choices[] = {{"enforce", false}, {"shadow", true}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

static bool decode_message_policy(struct decoder *decoder, const json *node, const char *path,
                                  void *target)
{
	static const struct choice choices[] = {{"FallbackToLogsOnError", false}, {"keep", true}};
	int value = 0;
	if (!choose(decoder, node, path, choices, COUNT(choices), &value))
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
	    !choose(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
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
	        {"shim", decode_shim_off, offsetof(struct rule, shim_off), false},
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
		return fail(decoder, node, path, "expected " API_VERSION ", got %.100s",
		            shown(node));
	return true;
}

static bool decode_kind(struct decoder *decoder, const json *node, const char *path, void *target)
{
	(void)target;
	if (!json_string_is(node, "Config"))
		return fail(decoder, node, path, "expected Config, got %.100s", shown(node));
	return true;
}

static bool decode_config(struct decoder *decoder, const json *root, struct config *config)
{
	static const struct field fields[] = {
	        {"apiVersion", decode_api_version, 0, true},
	        {"kind", decode_kind, 0, true},
	        {"sidecar", decode_sidecar, offsetof(struct config, sidecar), true},
	        {"context", decode_context, 0, false},
	        {"knownSidecars", decode_list, offsetof(struct config, known_sidecars), false},
	        {"initSystems", decode_list, offsetof(struct config, init_systems), false},
	        {"runtimeClasses", decode_list, offsetof(struct config, runtime_classes), false},
	        {"images", decode_images, 0, false},
	        {"redact", decode_redact, offsetof(struct config, redact), false},
	        {"rules", decode_rules, 0, true},
	};
	config->sidecar.user = USER_DEFAULT;
	config->sidecar.ring_size = RING_SIZE_DEFAULT;
	config->sidecar.tail_size = TAIL_SIZE_DEFAULT;
	return decode_fields(decoder, root, "", fields, COUNT(fields), config);
}

/* FNV-1a, 64 bits: names a snapshot, protects nothing. */
static void hash_text(const char *text, size_t length, char ret_hash[17])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	snprintf(ret_hash, 17, "%016" PRIx64, hash);
}

static bool parse_into(struct config *config, const char *text, size_t length, struct error *error)
{
	struct yaml_document *document;
	if (!yaml_parse_one(config->arena, text, length, &document, error))
		return false;
	struct decoder decoder = {.arena = config->arena, .document = document, .error = error};
	bool decoded = decode_config(&decoder, document->root, config);
	hash_text(text, length, config->hash);
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

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	arena_free(config->arena);
	free(config);
}
