#include "lib/kube/breaker_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"
#include "lib/base/utf8.h"
#include "lib/document/json.h"

#define TREE_MAX     ((size_t)16 * 1024 * 1024)
#define DOCUMENT_MAX ((size_t)900 * 1024) /* the API server refuses a ConfigMap above 1 MiB */
#define MICROSECOND  INT64_C(1000)

static const char *const position_names[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half-open",
};
#define POSITIONS (sizeof position_names / sizeof position_names[0])

const char *breaker_position_name(enum breaker_position position)
{
	return position_names[position];
}

void breaker_state_free(struct breaker_state *state)
{
	if (state == NULL)
		return;
	free(state->entries);
	*state = (struct breaker_state){.entries = NULL};
}

/* ---- Entries ---- */

/* RFC 1123: what a namespace may be called. */
static bool is_namespace(const char *name)
{
	size_t length = strlen(name);
	return length > 0 && length < BREAKER_NAMESPACE_SIZE && name[0] != '-' &&
	       name[length - 1] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* The place of that namespace, or where it belongs. */
static size_t place_of(const struct breaker_state *state, const char *namespace)
{
	size_t from = 0;
	size_t to = state->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (strcmp(state->entries[middle].namespace, namespace) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct breaker_entry *breaker_state_find(const struct breaker_state *state, const char *namespace)
{
	size_t place = place_of(state, namespace);
	return place < state->count && strcmp(state->entries[place].namespace, namespace) == 0
	               ? &state->entries[place]
	               : NULL;
}

void breaker_state_remove(struct breaker_state *state, struct breaker_entry *entry)
{
	size_t behind = state->count - (size_t)(entry - state->entries) - 1;
	memmove(entry, entry + 1, behind * sizeof *entry);
	state->count--;
}

static void displace_closed(struct breaker_state *state)
{
	struct breaker_entry *oldest = NULL;
	for (size_t i = 0; i < state->count; i++)
		if (state->entries[i].position == BREAKER_CLOSED &&
		    (oldest == NULL || state->entries[i].since < oldest->since))
			oldest = &state->entries[i];
	if (oldest != NULL)
		breaker_state_remove(state, oldest);
}

static bool has_room(struct breaker_state *state)
{
	if (state->count < state->size)
		return true;
	size_t size = state->size == 0 ? 16 : 2 * state->size;
	struct breaker_entry *entries = realloc(state->entries, size * sizeof *entries);
	if (entries == NULL)
		return false;
	state->entries = entries;
	state->size = size;
	return true;
}

struct breaker_entry *breaker_state_add(struct breaker_state *state, const char *namespace)
{
	struct breaker_entry *entry = breaker_state_find(state, namespace);
	if (entry != NULL || !is_namespace(namespace))
		return entry;
	if (state->count >= BREAKER_ENTRIES_MAX)
		displace_closed(state);
	if (state->count >= BREAKER_ENTRIES_MAX || !has_room(state))
		return NULL;
	size_t place = place_of(state, namespace);
	entry = &state->entries[place];
	memmove(entry + 1, entry, (state->count - place) * sizeof *entry);
	state->count++;
	*entry = (struct breaker_entry){.position = BREAKER_CLOSED};
	snprintf(entry->namespace, sizeof entry->namespace, "%s", namespace);
	return entry;
}

static bool is_object_name(const char *name)
{
	size_t length = strlen(name);
	return length > 0 && length <= 253 && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == length;
}

bool breaker_place_parse(const char *text, struct breaker_place *ret_place, struct error *error)
{
	struct breaker_place place = {.name = ""};
	const char *slash = strchr(text, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - text);
	if (length > 0 && length < sizeof place.namespace)
		memcpy(place.namespace, text, length);
	if (slash == NULL || !is_namespace(place.namespace) || !is_object_name(slash + 1))
		return error_set(error, "expected NAMESPACE/NAME, got \"%.100s\"", text);
	snprintf(place.name, sizeof place.name, "%s", slash + 1);
	*ret_place = place;
	return true;
}

/* ---- Transitions ---- */

static int64_t whole_microseconds(int64_t time)
{
	return time <= 0 ? 0 : time - time % MICROSECOND;
}

/* Cut at a character; what a terminal should not see becomes '?'. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t length = text == NULL ? 0 : strlen(text);
	size_t written = 0;
	for (size_t at = 0; at < length;) {
		size_t sequence = utf8_sequence(text + at, length - at);
		bool stays = sequence > 0 && (unsigned char)text[at] >= 0x20 &&
		             !utf8_is_unsafe(utf8_code_point(text + at, sequence));
		size_t more = stays ? sequence : 1;
		if (written + more >= size)
			break;
		memcpy(out + written, stays ? text + at : "?", more);
		written += more;
		at += sequence > 0 ? sequence : 1;
	}
	out[written] = '\0';
}

void breaker_entry_open(struct breaker_entry *entry, int64_t now, int64_t until,
                        const struct breaker_cause *cause)
{
	entry->position = BREAKER_OPEN;
	entry->since = whole_microseconds(now);
	entry->until = whole_microseconds(until);
	copy_text(entry->reason, sizeof entry->reason, cause->reason);
	copy_text(entry->message, sizeof entry->message, cause->message);
	copy_text(entry->pod, sizeof entry->pod, cause->pod);
	entry->trial[0] = '\0';
}

void breaker_entry_half_open(struct breaker_entry *entry, int64_t now)
{
	entry->position = BREAKER_HALF_OPEN;
	entry->since = whole_microseconds(now);
	entry->until = 0;
	entry->trial[0] = '\0';
}

void breaker_entry_close(struct breaker_entry *entry, int64_t now)
{
	entry->position = BREAKER_CLOSED;
	entry->since = whole_microseconds(now);
	entry->until = 0;
	entry->reason[0] = entry->message[0] = entry->pod[0] = entry->trial[0] = '\0';
}

void breaker_entry_set_trial(struct breaker_entry *entry, const char *pod)
{
	copy_text(entry->trial, sizeof entry->trial, pod);
}

/* ---- Writing ---- */

static void write_text(struct json_writer *writer, const char *key, const char *text)
{
	if (text[0] != '\0')
		json_write_member(writer, key, text);
}

static void write_entry(struct json_writer *writer, const struct breaker_entry *entry)
{
	json_write_key(writer, entry->namespace);
	json_write_object_begin(writer);
	json_write_member(writer, "state", breaker_position_name(entry->position));
	json_write_member_time(writer, "since", entry->since);
	json_write_member_time(writer, "until", entry->until);
	write_text(writer, "reason", entry->reason);
	write_text(writer, "message", entry->message);
	write_text(writer, "pod", entry->pod);
	write_text(writer, "trial", entry->trial);
	json_write_object_end(writer);
}

void breaker_state_write(const struct breaker_state *state, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_member_integer(&writer, "version", BREAKER_VERSION);
	json_write_key(&writer, "namespaces");
	json_write_object_begin(&writer);
	for (size_t i = 0; i < state->count; i++)
		write_entry(&writer, &state->entries[i]);
	json_write_object_end(&writer);
	json_write_object_end(&writer);
}

void breaker_config_map_patch(const struct breaker_state *state, const char *version,
                              struct buffer *out)
{
	struct json_writer writer;
	struct buffer _cleanup_buffer_ document;
	buffer_init(&document, DOCUMENT_MAX);
	breaker_state_write(state, &document);
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_key(&writer, "metadata");
	json_write_object_begin(&writer);
	json_write_member(&writer, "resourceVersion", version);
	json_write_object_end(&writer);
	json_write_key(&writer, "data");
	json_write_object_begin(&writer);
	json_write_member(&writer, BREAKER_KEY, buffer_text(&document));
	json_write_object_end(&writer);
	json_write_object_end(&writer);
	out->failed = out->failed || !buffer_ok(&document);
}

/* ---- Reading ---- */

static bool read_time(const json *object, const char *key, int64_t *ret_time)
{
	int64_t time = 0;
	const json *node = json_get(object, key);
	if (node != NULL &&
	    (json_string(node) == NULL || !timestamp_parse(json_string(node), &time) || time < 0))
		return false;
	*ret_time = whole_microseconds(time);
	return true;
}

static bool read_position(const json *object, enum breaker_position *ret_position)
{
	for (size_t i = 0; i < POSITIONS; i++)
		if (json_string_is(json_get(object, "state"), position_names[i])) {
			*ret_position = (enum breaker_position)i;
			return true;
		}
	return false;
}

static bool read_entry(struct breaker_state *state, const json *object, struct error *error)
{
	const char *namespace = json_key(object);
	enum breaker_position position;
	int64_t since;
	int64_t until;
	if (!read_position(object, &position))
		return error_set(error,
		                 "namespaces.%.80s.state: expected open, half-open or closed",
		                 namespace);
	if (!read_time(object, "since", &since) || !read_time(object, "until", &until))
		return error_set(error, "namespaces.%.80s: expected since and until to be times",
		                 namespace);
	if (!is_namespace(namespace))
		return error_set(error, "expected a namespace, got \"%.80s\"", namespace);
	struct breaker_entry *entry = breaker_state_add(state, namespace);
	if (entry == NULL)
		return error_set(error, "expected at most %d namespaces", BREAKER_ENTRIES_MAX);
	entry->position = position;
	entry->since = since;
	entry->until = until;
	copy_text(entry->reason, sizeof entry->reason, json_get_string(object, "reason"));
	copy_text(entry->message, sizeof entry->message, json_get_string(object, "message"));
	copy_text(entry->pod, sizeof entry->pod, json_get_string(object, "pod"));
	copy_text(entry->trial, sizeof entry->trial, json_get_string(object, "trial"));
	return true;
}

static bool read_document(const json *root, struct breaker_state *state, struct error *error)
{
	int64_t version;
	const json *namespaces = json_get(root, "namespaces");
	if (!json_integer(json_get(root, "version"), &version) || version != BREAKER_VERSION)
		return error_set(error, "expected version %d", BREAKER_VERSION);
	if (!json_is_object(namespaces))
		return error_set(error, "namespaces: expected an object, got %s",
		                 json_type_name(namespaces));
	/* Before the entries: so their number is bounded before anything is kept. */
	if (json_size(namespaces) > BREAKER_ENTRIES_MAX)
		return error_set(error, "expected at most %d namespaces", BREAKER_ENTRIES_MAX);
	for (const json *n = json_first(namespaces); n != NULL; n = json_next(n))
		if (!read_entry(state, n, error))
			return false;
	return true;
}

static bool parse_document(struct arena *arena, const char *text, size_t length,
                           struct breaker_state *ret_state, struct error *error)
{
	json *root;
	struct breaker_state state = {.entries = NULL};
	if (json_parse(arena, text, length, 0, &root, error) != JSON_FAITHFUL)
		return false;
	if (!read_document(root, &state, error)) {
		breaker_state_free(&state);
		return false;
	}
	*ret_state = state;
	return true;
}

bool breaker_state_parse(const char *text, size_t length, struct breaker_state *ret_state,
                         struct error *error)
{
	struct arena *_cleanup_arena_ arena = arena_new(TREE_MAX);
	if (arena == NULL)
		return error_set(error, "out of memory");
	return parse_document(arena, text, length, ret_state, error) ||
	       error_wrap(error, "the breaker's state");
}

bool breaker_config_map_parse(const char *body, size_t length, struct breaker_state *ret_state,
                              char ret_version[BREAKER_VERSION_SIZE], struct error *error)
{
	json *root;
	struct breaker_state state = {.entries = NULL};
	struct arena *_cleanup_arena_ arena = arena_new(TREE_MAX);
	if (arena == NULL)
		return error_set(error, "out of memory");
	if (json_parse(arena, body, length, 0, &root, error) == JSON_INVALID)
		return error_wrap(error, "a ConfigMap");
	const char *version = json_get_string(json_get(root, "metadata"), "resourceVersion");
	if (version == NULL || strlen(version) >= BREAKER_VERSION_SIZE)
		return error_set(error, "expected a ConfigMap with a resourceVersion");
	const char *text = json_get_string(json_get(root, "data"), BREAKER_KEY);
	if (text != NULL && text[0] != '\0' &&
	    !parse_document(arena, text, strlen(text), &state, error))
		return error_wrap(error, "the breaker's state");
	snprintf(ret_version, BREAKER_VERSION_SIZE, "%s", version);
	*ret_state = state;
	return true;
}
