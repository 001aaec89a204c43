#include "webhook/patch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/json_write.h"

/* Longer than any path into a pod: keys have at most 253 + 1 + 63 bytes. */
#define PATH_SIZE  2048
#define TOKEN_SIZE 1024

void patch_init(struct patch *patch, struct arena *arena)
{
	*patch = (struct patch){.arena = arena};
}

/* RFC 6901 section 3: ~ is ~0 and / is ~1. */
static void append_token(struct buffer *path, const char *token)
{
	buffer_append_char(path, '/');
	if (strpbrk(token, "~/") == NULL) { /* nearly always */
		buffer_append_text(path, token);
		return;
	}
	for (; *token != '\0'; token++) {
		if (*token == '~')
			buffer_append_text(path, "~0");
		else if (*token == '/')
			buffer_append_text(path, "~1");
		else
			buffer_append_char(path, *token);
	}
}

static bool grow(struct patch *patch)
{
	if (patch->count < patch->capacity)
		return true;
	size_t capacity = patch->capacity == 0 ? 32 : patch->capacity * 2;
	struct patch_operation *operations =
	        arena_allocate(patch->arena, capacity * sizeof *operations);
	if (operations == NULL)
		return false;
	if (patch->count > 0)
		memcpy(operations, patch->operations, patch->count * sizeof *operations);
	patch->operations = operations;
	patch->capacity = capacity;
	return true;
}

static void put(struct patch *patch, const char *kind, json *value, va_list tokens)
{
	char storage[PATH_SIZE];
	struct buffer path;
	buffer_init_fixed(&path, storage, sizeof storage);
	const char *token;
	while ((token = va_arg(tokens, const char *)) != NULL)
		append_token(&path, token);

	const char *copy = arena_copy(patch->arena, buffer_text(&path), path.length);
	if (value == NULL || copy == NULL || !buffer_ok(&path) || !grow(patch)) {
		patch->failed = true;
		return;
	}
	patch->operations[patch->count++] =
	        (struct patch_operation){.kind = kind, .path = copy, .value = value};
}

void patch_add(struct patch *patch, json *value, ...)
{
	va_list tokens;
	va_start(tokens, value);
	put(patch, "add", value, tokens);
	va_end(tokens);
}

void patch_replace(struct patch *patch, json *value, ...)
{
	va_list tokens;
	va_start(tokens, value);
	put(patch, "replace", value, tokens);
	va_end(tokens);
}

static void write_path(struct buffer *out, const char *prefix, const char *path)
{
	char whole[2 * PATH_SIZE];
	if (prefix[0] != '\0') {
		int length = snprintf(whole, sizeof whole, "%s%s", prefix, path);
		out->failed = out->failed || length < 0 || (size_t)length >= sizeof whole;
		path = whole;
	}
	json_escape(out, path, strlen(path));
}

void patch_print(const struct patch *patch, const char *prefix, struct buffer *out)
{
	buffer_append_char(out, '[');
	for (size_t i = 0; i < patch->count; i++) {
		const struct patch_operation *operation = &patch->operations[i];
		buffer_append_text(out, i == 0 ? "{\"op\":\"" : ",{\"op\":\"");
		buffer_append_text(out, operation->kind);
		buffer_append_text(out, "\",\"path\":");
		write_path(out, prefix, operation->path);
		buffer_append_text(out, ",\"value\":");
		json_print(out, operation->value, 0);
		buffer_append_char(out, '}');
	}
	buffer_append_char(out, ']');
}

/* ---- Applying ---- */

/* Reads the token at *path (which begins with '/') and moves *path behind it. */
static bool next_token(const char **path, char *token)
{
	const char *in = *path + 1;
	size_t length = 0;
	while (*in != '\0' && *in != '/') {
		char c = *in++;
		if (c == '~' && (*in == '0' || *in == '1'))
			c = *in++ == '0' ? '~' : '/';
		if (length + 1 >= TOKEN_SIZE)
			return false;
		token[length++] = c;
	}
	token[length] = '\0';
	*path = in;
	return true;
}

/* An array index without sign or leading zeros (RFC 6901 section 4). */
static bool parse_index(const char *token, size_t *ret_index)
{
	size_t length = strspn(token, "0123456789");
	if (length == 0 || token[length] != '\0' || length > 9 || (token[0] == '0' && length > 1))
		return false;
	*ret_index = strtoul(token, NULL, 10);
	return true;
}

static json *child(json *parent, const char *token)
{
	size_t index;
	if (json_is_array(parent))
		return parse_index(token, &index) ? json_at(parent, index) : NULL;
	return json_get(parent, token);
}

static bool put_value(struct arena *arena, json *parent, const char *token, bool replace,
                      json *value)
{
	json *old_node = child(parent, token);
	if (replace)
		return old_node != NULL && json_replace(parent, old_node, value);
	if (json_is_object(parent))
		return json_set_member(arena, parent, token, value);
	if (!json_is_array(parent))
		return false;
	if (strcmp(token, "-") == 0)
		return json_append(parent, value);
	size_t index;
	return parse_index(token, &index) && index <= json_size(parent) &&
	       json_insert(parent, index, value);
}

static bool apply(struct arena *arena, const struct patch_operation *operation, json *document,
                  struct error *error)
{
	char token[TOKEN_SIZE];
	const char *path = operation->path;
	json *parent = document;
	if (path[0] != '/' || !next_token(&path, token))
		return error_set(error, "%s %s: not a pointer to a part", operation->kind,
		                 operation->path);
	while (*path == '/') {
		parent = child(parent, token);
		if (json_is_shared(parent))
			return error_set(error, "%s %s: inside of what the patch itself has set",
			                 operation->kind, operation->path);
		if (parent == NULL)
			return error_set(error, "%s %s: there is no \"%s\"", operation->kind,
			                 operation->path, token);
		if (!next_token(&path, token))
			return error_set(error, "%s: a token is too long", operation->kind);
	}

	json *value = json_share(arena, operation->value);
	if (value == NULL || !put_value(arena, parent, token, operation->kind[0] == 'r', value))
		return error_set(error, "%s %s: \"%s\" cannot be set there", operation->kind,
		                 operation->path, token);
	return true;
}

bool patch_apply(const struct patch *patch, json *document, struct error *error)
{
	if (patch->failed)
		return error_set(error, "the patch is incomplete: no room for it");
	for (size_t i = 0; i < patch->count; i++)
		if (!apply(patch->arena, &patch->operations[i], document, error))
			return false;
	return true;
}
