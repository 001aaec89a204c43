#include "observer/receiver/receiver_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/files.h"
#include "lib/base/hash.h"
#include "lib/diagnosis/cause.h"
#include "lib/document/decode.h"
#include "observer/receiver/notice.h"
#include "observer/receiver/presets.h"

#define API_VERSION     "lastword.dev/v1alpha1"
#define ARENA_LIMIT     ((size_t)64 * 1024 * 1024)
#define TIMEOUT         (10 * SECOND)
#define TIMEOUT_MIN     SECOND
#define TIMEOUT_MAX     (60 * SECOND)
#define RESOLVE_AFTER   (INT64_C(24) * 3600 * SECOND)
#define URL_MAX         2000
#define HEADER_NAME_MAX 64
#define VALUE_MAX       4096

static const struct choice types[] = {{"webhook", RECEIVER_WEBHOOK},
                                      {"otlp", RECEIVER_OTLP},
                                      {"alertmanager", RECEIVER_ALERTMANAGER},
                                      {"loki", RECEIVER_LOKI},
                                      {"cloudevents", RECEIVER_CLOUDEVENTS}};

bool receiver_url_check(const char *url, struct error *error)
{
	size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
	                : strncmp(url, "http://", 7) == 0 ? 7
	                                                  : 0;
	size_t host = scheme == 0 ? 0 : strcspn(url + scheme, "/?#");
	if (scheme == 0)
		return error_set(error, "expected a URL that begins with https:// or http://");
	if (host == 0 || strlen(url) > URL_MAX)
		return error_set(error, "expected a URL with a host, of at most %d bytes", URL_MAX);
	if (memchr(url + scheme, '@', host) != NULL)
		return error_set(error, "expected a URL without user and password; use "
		                        "bearerTokenFile or headers");
	for (const char *c = url; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || *c == '#' ||
		    *c == '\\')
			return error_set(error, "expected a URL without blanks, fragment and "
			                        "characters that are not ASCII");
	return true;
}

/* ---- Values ---- */

static bool decode_bool(struct decoder *decoder, const json *node, const char *path, void *target)
{
	if (!json_is_bool(node))
		return decode_fail(decoder, node, path, "expected true or false, got %.100s",
		                   decode_shown(node));
	*(bool *)target = json_is_true(node);
	return true;
}

/* The message does not repeat the URL, which may be a secret. */
static bool decode_url(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct error error = {"expected a URL"};
	const char *text = json_string(node);
	if (text == NULL || !receiver_url_check(text, &error))
		return decode_fail(decoder, node, path, "%s", error.message);
	*(const char **)target = text;
	return true;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static bool decode_value(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || strlen(text) > VALUE_MAX || has_control(text))
		return decode_fail(decoder, node, path,
		                   "expected a string of one line, of at most %d bytes", VALUE_MAX);
	*(const char **)target = text;
	return true;
}

static bool decode_named_value(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct field fields[] = {
	        {"name", decode_text, offsetof(struct receiver_value, name), true},
	        {"value", decode_value, offsetof(struct receiver_value, value), false},
	        {"valueFile", decode_path, offsetof(struct receiver_value, value_file), false},
	};
	struct receiver_value *value = target;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), value))
		return false;
	if ((value->value == NULL) == (value->value_file == NULL))
		return decode_fail(decoder, node, path,
		                   "expected value or valueFile, and not both");
	return true;
}

static bool decode_values(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct receiver_values *values = target;
	void *items = NULL;
	if (json_size(node) > RECEIVER_HEADERS_MAX)
		return decode_fail(decoder, node, path, "expected at most %d entries, got %zu",
		                   RECEIVER_HEADERS_MAX, json_size(node));
	if (!decode_elements(decoder, node, path, sizeof *values->items, decode_named_value, &items,
	                     &values->count))
		return false;
	values->items = items;
	return true;
}

/* RFC 9110, section 5.6.2; what the client itself sets is not for a configuration. */
static bool header_name_valid(const char *name)
{
	static const char *const reserved[] = {
	        "host",       "content-length", "content-type", "transfer-encoding",
	        "connection", "expect",         "upgrade"};
	size_t length = strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	for (size_t i = 0; i < COUNT(reserved); i++)
		if (strcasecmp(reserved[i], name) == 0)
			return false;
	return length > 0 && length <= HEADER_NAME_MAX && name[length] == '\0';
}

static bool decode_headers(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	struct receiver_values *headers = target;
	if (!decode_values(decoder, node, path, headers))
		return false;
	for (size_t i = 0; i < headers->count; i++)
		if (!header_name_valid(headers->items[i].name))
			return decode_fail(decoder, json_at(node, i), path,
			                   "expected the name of a header that a request may "
			                   "have, got %.60s",
			                   headers->items[i].name);
	return true;
}

/* As Prometheus and Loki want them. */
static bool label_name_valid(const char *name)
{
	if ((!ascii_is_alnum(*name) || ascii_is_digit(*name)) && *name != '_')
		return false;
	for (; *name != '\0'; name++)
		if (!ascii_is_alnum(*name) && *name != '_')
			return false;
	return true;
}

static bool decode_labels(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct receiver_values *labels = target;
	if (!json_is_object(node) || json_size(node) > RECEIVER_HEADERS_MAX)
		return decode_fail(decoder, node, path, "expected a mapping of at most %d labels",
		                   RECEIVER_HEADERS_MAX);
	labels->items =
	        arena_allocate(decoder->arena, (json_size(node) + 1) * sizeof *labels->items);
	if (labels->items == NULL)
		return decode_no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		struct receiver_value *label = &labels->items[labels->count++];
		label->name = json_key(n);
		if (!label_name_valid(label->name))
			return decode_fail(decoder, n, path,
			                   "expected a label's name of letters, digits and _, got "
			                   "%.60s",
			                   label->name);
		if (!decode_value(decoder, n, decode_join(decoder, path, label->name),
		                  &label->value))
			return false;
	}
	return true;
}

/* ---- The filter ---- */

static bool decode_causes(struct decoder *decoder, const json *node, const char *path, void *target)
{
	enum cause cause;
	if (!decode_list(decoder, node, path, target))
		return false;
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!cause_from_name(json_string(n), &cause))
			return decode_fail(decoder, n, path,
			                   "expected a cause such as Panic or OOMKilled, got "
			                   "%.100s",
			                   decode_shown(n));
	return true;
}

static bool decode_filter(struct decoder *decoder, const json *node, const char *path, void *target)
{
#define FILTER(member) offsetof(struct receiver_settings, filter.member)
	static const struct field fields[] = {
	        {"namespaces", decode_list, FILTER(namespaces), false},
	        {"causes", decode_causes, FILTER(causes), false},
	        {"silentOnly", decode_bool, FILTER(silent_only), false},
	        {"resolved", decode_bool, FILTER(resolved), false},
	};
#undef FILTER
	return decode_fields(decoder, node, path, fields, COUNT(fields), target);
}

/* ---- A receiver ---- */

static bool decode_name(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	size_t length = text == NULL ? 0 : strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (length == 0 || length > RECEIVER_NAME_MAX || text[length] != '\0' || text[0] == '-' ||
	    text[length - 1] == '-' || strcmp(text, "event") == 0 ||
	    strncmp(text, "event-", 6) == 0)
		return decode_fail(decoder, node, path,
		                   "expected a name of lower-case letters, digits and -, that is "
		                   "not event or event-…, got %.100s",
		                   decode_shown(node));
	*(const char **)target = text;
	return true;
}

static bool decode_type(struct decoder *decoder, const json *node, const char *path, void *target)
{
	int value = 0;
	if (!decode_choice(decoder, node, path, types, COUNT(types), &value))
		return false;
	*(enum receiver_type *)target = (enum receiver_type)value;
	return true;
}

static bool decode_preset(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct choice choices[16];
	int value = 0;
	size_t count = 0;
	for (; preset_name(count) != NULL; count++)
		choices[count] = (struct choice){preset_name(count), (int)count};
	if (!decode_choice(decoder, node, path, choices, count, &value))
		return false;
	*(const char **)target = preset_name((size_t)value);
	return true;
}

static bool decode_body(struct decoder *decoder, const json *node, const char *path, void *target)
{
	if (!json_is_object(node) && !json_is_array(node))
		return decode_fail(decoder, node, path, "expected a mapping or a list, got %.100s",
		                   decode_shown(node));
	*(const json **)target = node;
	return true;
}

static bool decode_mode(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct choice choices[] = {{"structured", false}, {"binary", true}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(bool *)target = value != 0;
	return true;
}

/* Keys that only receivers of one type have. */
static bool check_keys(struct decoder *decoder, const json *node, const char *path,
                       enum receiver_type type)
{
	static const struct {
		const char *key;
		enum receiver_type type;
	} keys[] = {{"preset", RECEIVER_WEBHOOK},
	            {"body", RECEIVER_WEBHOOK},
	            {"parameters", RECEIVER_WEBHOOK},
	            {"resolveAfter", RECEIVER_ALERTMANAGER},
	            {"mode", RECEIVER_CLOUDEVENTS}};
	for (size_t i = 0; i < COUNT(keys); i++)
		if (keys[i].type != type && json_get(node, keys[i].key) != NULL)
			return decode_fail(decoder, json_get(node, keys[i].key),
			                   decode_join(decoder, path, keys[i].key),
			                   "expected only where type is %s",
			                   types[keys[i].type].text);
	return true;
}

static bool use_preset(struct decoder *decoder, const json *node, const char *path,
                       struct receiver_settings *settings)
{
	json *body = NULL;
	const struct preset *preset =
	        preset_find(settings->preset == NULL ? PRESET_DEFAULT : settings->preset);
	bool given = false;
	for (size_t i = 0; preset->parameter != NULL && i < settings->parameters.count; i++)
		given = given || strcmp(settings->parameters.items[i].name, preset->parameter) == 0;
	if (preset->parameter != NULL && !given)
		return decode_fail(decoder, node, path, "preset %s expects a parameter \"%s\"",
		                   preset->name, preset->parameter);
	if (settings->filter.resolved && !preset->resolvable)
		return decode_fail(decoder, node, path,
		                   "preset %s cannot be notified of what is resolved",
		                   preset->name);
	settings->preset = preset->name;
	if (settings->url.value == NULL && settings->url.value_file == NULL)
		settings->url.value = preset->url;
	if (json_parse(decoder->arena, preset->body, strlen(preset->body), JSON_KEEP_NUMBERS, &body,
	               NULL) == JSON_INVALID)
		return decode_no_memory(decoder);
	settings->body = body;
	return true;
}

static bool check_body(struct decoder *decoder, const json *node, const char *path,
                       struct receiver_settings *settings)
{
	struct error error;
	const json *mistake = node;
	struct template_fields fields = notice_fields;
	fields.context = settings;
	if (settings->body == NULL)
		return use_preset(decoder, node, path, settings);
	if (settings->preset != NULL)
		return decode_fail(decoder, node, path, "expected preset or body, and not both");
	return template_check(settings->body, &fields, &mistake, &error) ||
	       decode_fail(decoder, mistake, decode_join(decoder, path, "body"), "%s",
	                   error.message);
}

static bool check_receiver(struct decoder *decoder, const json *node, const char *path,
                           struct receiver_settings *settings)
{
	if (!check_keys(decoder, node, path, settings->type) ||
	    (settings->type == RECEIVER_WEBHOOK && !check_body(decoder, node, path, settings)))
		return false;
	if ((settings->url.value == NULL) == (settings->url.value_file == NULL))
		return decode_fail(decoder, node, path, "expected url or urlFile, and not both");
	if (settings->timeout < TIMEOUT_MIN || settings->timeout > TIMEOUT_MAX)
		return decode_fail(decoder, json_get(node, "timeout"),
		                   decode_join(decoder, path, "timeout"), "expected 1s to 1m");
	if (settings->resolve_after < 60 * SECOND)
		return decode_fail(decoder, json_get(node, "resolveAfter"),
		                   decode_join(decoder, path, "resolveAfter"),
		                   "expected 1m or more");
	if (settings->type == RECEIVER_ALERTMANAGER)
		settings->filter.resolved = true;
	return true;
}

static bool decode_receiver(struct decoder *decoder, const json *node, const char *path,
                            void *target)
{
#define SETTING(member) offsetof(struct receiver_settings, member)
	static const struct field fields[] = {
	        {"name", decode_name, SETTING(name), true},
	        {"type", decode_type, SETTING(type), true},
	        {"preset", decode_preset, SETTING(preset), false},
	        {"url", decode_url, SETTING(url.value), false},
	        {"urlFile", decode_path, SETTING(url.value_file), false},
	        {"headers", decode_headers, SETTING(headers), false},
	        {"bearerTokenFile", decode_path, SETTING(bearer_token_file), false},
	        {"caFile", decode_path, SETTING(ca_file), false},
	        {"timeout", decode_duration, SETTING(timeout), false},
	        {"filter", decode_filter, 0, false},
	        {"labels", decode_labels, SETTING(labels), false},
	        {"body", decode_body, SETTING(body), false},
	        {"parameters", decode_values, SETTING(parameters), false},
	        {"resolveAfter", decode_duration, SETTING(resolve_after), false},
	        {"mode", decode_mode, SETTING(binary), false},
	};
#undef SETTING
	struct receiver_settings *settings = target;
	settings->timeout = TIMEOUT;
	settings->resolve_after = RESOLVE_AFTER;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), settings))
		return false;
	settings->type_name = types[settings->type].text;
	return check_receiver(decoder, node, path, settings);
}

static bool decode_receivers(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	struct receiver_config *config = target;
	void *receivers = NULL;
	if (json_size(node) > RECEIVERS_MAX)
		return decode_fail(decoder, node, path, "expected at most %d receivers, got %zu",
		                   RECEIVERS_MAX, json_size(node));
	if (!decode_elements(decoder, node, path, sizeof *config->receivers, decode_receiver,
	                     &receivers, &config->receiver_count))
		return false;
	config->receivers = receivers;
	for (size_t i = 0; i < config->receiver_count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(config->receivers[i].name, config->receivers[j].name) == 0)
				return decode_fail(decoder, json_at(node, i), path,
				                   "two receivers have the name %s",
				                   config->receivers[i].name);
	return true;
}

/* ---- The file ---- */

static bool decode_api_version(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	(void)target;
	return json_string_is(node, API_VERSION) ||
	       decode_fail(decoder, node, path, "expected " API_VERSION ", got %.100s",
	                   decode_shown(node));
}

static bool decode_kind(struct decoder *decoder, const json *node, const char *path, void *target)
{
	(void)target;
	return json_string_is(node, RECEIVER_CONFIG_KIND) ||
	       decode_fail(decoder, node, path, "expected " RECEIVER_CONFIG_KIND ", got %.100s",
	                   decode_shown(node));
}

static bool parse_into(struct receiver_config *config, const char *text, size_t length,
                       struct error *error)
{
	static const struct field fields[] = {
	        {"apiVersion", decode_api_version, 0, true},
	        {"kind", decode_kind, 0, true},
	        {"receivers", decode_receivers, 0, false},
	};
	struct yaml_document *document;
	if (!yaml_parse_one(config->arena, text, length, &document, error))
		return false;
	struct decoder decoder = {.arena = config->arena, .document = document, .error = error};
	snprintf(config->hash, sizeof config->hash, "%016" PRIx64, hash_bytes(text, length));
	return decode_fields(&decoder, document->root, "", fields, COUNT(fields), config);
}

bool receiver_config_parse(const char *text, size_t length, struct receiver_config **ret_config,
                           struct error *error)
{
	if (length > RECEIVER_CONFIG_SIZE_MAX)
		return error_set(error, "expected at most %zu bytes, got %zu",
		                 RECEIVER_CONFIG_SIZE_MAX, length);
	struct receiver_config *config = calloc(1, sizeof *config);
	if (config != NULL)
		config->arena = arena_new(ARENA_LIMIT);
	if (config == NULL || config->arena == NULL) {
		receiver_config_free(config);
		return error_set(error, "no memory for the configuration");
	}
	if (!parse_into(config, text, length, error)) {
		receiver_config_free(config);
		return false;
	}
	*ret_config = config;
	return true;
}

bool receiver_config_load(const char *path, struct receiver_config **ret_config,
                          struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, RECEIVER_CONFIG_SIZE_MAX + 1);
	if (!file_read(path, &text, error))
		return false;
	return receiver_config_parse(buffer_text(&text), text.length, ret_config, error) ||
	       error_wrap(error, "%s", path);
}

void receiver_config_free(struct receiver_config *config)
{
	if (config == NULL)
		return;
	arena_free(config->arena);
	free(config);
}

bool receiver_config_is_meant(const char *text, size_t length)
{
	struct arena *_cleanup_arena_ arena = arena_new(ARENA_LIMIT);
	struct yaml_document *document;
	return length <= RECEIVER_CONFIG_SIZE_MAX && arena != NULL &&
	       yaml_parse_one(arena, text, length, &document, NULL) &&
	       json_string_is(json_get(document->root, "kind"), RECEIVER_CONFIG_KIND);
}
