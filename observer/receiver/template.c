#include "observer/receiver/template.h"

#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/json_write.h"

#define TEXT_MAX ((size_t)64 * 1024) /* of one text of the body, and of one field */

enum function { FUNCTION_TEXT, FUNCTION_SLACK, FUNCTION_FENCED, FUNCTION_JSON };

/* A literal part of a text, or a placeholder. */
struct piece {
	const char *literal; /* NULL: a placeholder */
	size_t length;
	enum function function;
	char field[TEMPLATE_FIELD_MAX];
};

/* ---- Texts ---- */

static const char *skip_blanks(const char *text, const char *end)
{
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	return text;
}

static bool take_word(const char **at, const char *end, char ret_word[TEMPLATE_FIELD_MAX])
{
	const char *start = *at = skip_blanks(*at, end);
	while (*at < end && (ascii_is_alnum(**at) || strchr("._-/", **at) != NULL))
		(*at)++;
	size_t length = (size_t)(*at - start);
	if (length == 0 || length >= TEMPLATE_FIELD_MAX)
		return false;
	memcpy(ret_word, start, length);
	ret_word[length] = '\0';
	*at = skip_blanks(*at, end);
	return true;
}

static bool find_function(const char *word, enum function *ret_function, struct error *error)
{
	static const struct {
		const char *name;
		enum function function;
	} functions[] = {
	        {"slack", FUNCTION_SLACK}, {"fenced", FUNCTION_FENCED}, {"json", FUNCTION_JSON}};
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
		if (strcmp(functions[i].name, word) == 0) {
			*ret_function = functions[i].function;
			return true;
		}
	return error_set(error, "unknown function \"%s\", expected slack, fenced or json", word);
}

/* What stands between the braces. */
static bool read_placeholder(const char *at, const char *end, struct piece *piece,
                             struct error *error)
{
	char word[TEMPLATE_FIELD_MAX];
	piece->function = FUNCTION_TEXT;
	if (!take_word(&at, end, piece->field))
		return error_set(error, "expected {{field}} or {{function field}}");
	if (at == end)
		return true;
	memcpy(word, piece->field, sizeof word);
	if (!take_word(&at, end, piece->field) || at != end)
		return error_set(error, "expected {{field}} or {{function field}}");
	return find_function(word, &piece->function, error);
}

/* The next piece of the text at *at, which is not at its end. */
static bool next_piece(const char **at, struct piece *ret_piece, struct error *error)
{
	const char *start = *at;
	const char *open = strstr(start, "{{");
	*ret_piece = (struct piece){.literal = start};
	if (open != start) {
		ret_piece->length = open == NULL ? strlen(start) : (size_t)(open - start);
		*at += ret_piece->length;
		return true;
	}
	const char *close = strstr(open, "}}");
	if (close == NULL)
		return error_set(error, "\"{{\" without \"}}\"");
	ret_piece->literal = NULL;
	*at = close + 2;
	return read_placeholder(open + 2, close, ret_piece, error);
}

static bool check_text(const char *text, const struct template_fields *fields, struct error *error)
{
	const char *at = text;
	while (*at != '\0') {
		struct piece piece;
		bool first = at == text;
		if (!next_piece(&at, &piece, error))
			return false;
		if (piece.literal != NULL)
			continue;
		if (piece.function == FUNCTION_JSON && (!first || *at != '\0'))
			return error_set(error, "{{json …}} must be the whole text");
		if (!fields->check(fields->context, piece.field, error))
			return false;
	}
	return true;
}

/* ---- The tree: a walk without recursion ---- */

struct walk {
	const json *root;
	const json *node; /* NULL: the walk is over */
	const json *parents[TEMPLATE_DEPTH_MAX];
	unsigned depth;
};

static bool has_children(const json *node)
{
	return (json_is_object(node) || json_is_array(node)) && json_first(node) != NULL;
}

/* To the next node, children first. writer: gets the ends of what is left; NULL: nobody. */
static void step(struct walk *walk, struct json_writer *writer)
{
	if (has_children(walk->node) && walk->depth < TEMPLATE_DEPTH_MAX) {
		walk->parents[walk->depth++] = walk->node;
		walk->node = json_first(walk->node);
		return;
	}
	while (walk->node != walk->root && json_next(walk->node) == NULL) {
		walk->node = walk->parents[--walk->depth];
		if (writer != NULL && json_is_object(walk->node))
			json_write_object_end(writer);
		else if (writer != NULL)
			json_write_array_end(writer);
	}
	walk->node = walk->node == walk->root ? NULL : json_next(walk->node);
}

bool template_check(const json *body, const struct template_fields *fields, const json **ret_node,
                    struct error *error)
{
	struct walk walk = {.root = body, .node = body};
	for (; walk.node != NULL; step(&walk, NULL)) {
		const char *text = json_string(walk.node);
		bool good = text == NULL || check_text(text, fields, error);
		if (good && has_children(walk.node) && walk.depth == TEMPLATE_DEPTH_MAX)
			good = error_set(error, "more than %d levels", TEMPLATE_DEPTH_MAX);
		if (!good) {
			*ret_node = walk.node;
			return false;
		}
	}
	return true;
}

/* ---- Writing ---- */

static void append_slack(const char *text, struct buffer *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '&')
			buffer_append_text(out, "&amp;");
		else if (*text == '<')
			buffer_append_text(out, "&lt;");
		else if (*text == '>')
			buffer_append_text(out, "&gt;");
		else
			buffer_append_char(out, *text);
	}
}

/* A fence is longer than any run of backticks in the text (CommonMark, fenced code blocks). */
static void append_fenced(const char *text, struct buffer *out)
{
	size_t longest = 2;
	size_t run = 0;
	for (const char *at = text; *at != '\0'; at++) {
		run = *at == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	for (size_t i = 0; i <= longest; i++)
		buffer_append_char(out, '`');
	buffer_printf(out, "\n%s\n", text);
	for (size_t i = 0; i <= longest; i++)
		buffer_append_char(out, '`');
}

static void append_field(const struct piece *piece, const struct template_fields *fields,
                         struct buffer *out)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, TEXT_MAX);
	if (piece->function == FUNCTION_TEXT) {
		fields->write_text(fields->context, piece->field, out);
		return;
	}
	fields->write_text(fields->context, piece->field, &text);
	if (piece->function == FUNCTION_SLACK)
		append_slack(buffer_text(&text), out);
	else
		append_fenced(buffer_text(&text), out);
}

static void write_text(const char *text, const struct template_fields *fields,
                       struct json_writer *writer)
{
	struct buffer _cleanup_buffer_ out;
	struct piece piece;
	buffer_init(&out, TEXT_MAX);
	for (const char *at = text; *at != '\0';) {
		if (!next_piece(&at, &piece, NULL))
			break; /* template_check() */
		if (piece.literal != NULL) {
			buffer_append(&out, piece.literal, piece.length);
		} else if (piece.function == FUNCTION_JSON) {
			fields->write_json(fields->context, piece.field, writer);
			return;
		} else {
			append_field(&piece, fields, &out);
		}
	}
	if (!buffer_ok(&out))
		writer->out->failed = true;
	json_write_string_n(writer, buffer_text(&out), out.length);
}

static void write_scalar(const json *node, struct json_writer *writer)
{
	const char *number = json_number_text(node);
	int64_t integer;
	if (number != NULL)
		json_write_raw(writer, number, strlen(number));
	else if (json_integer(node, &integer))
		json_write_integer(writer, integer);
	else if (json_is_bool(node))
		json_write_bool(writer, json_is_true(node));
	else
		json_write_null(writer);
}

static void write_node(const struct walk *walk, const struct template_fields *fields,
                       struct json_writer *writer)
{
	const json *node = walk->node;
	bool open = has_children(node);
	if (walk->depth > 0 && json_key(node) != NULL)
		json_write_key(writer, json_key(node));
	if (json_is_object(node)) {
		json_write_object_begin(writer);
		if (!open)
			json_write_object_end(writer);
	} else if (json_is_array(node)) {
		json_write_array_begin(writer);
		if (!open)
			json_write_array_end(writer);
	} else if (json_is_string(node)) {
		write_text(json_string(node), fields, writer);
	} else {
		write_scalar(node, writer);
	}
}

void template_write(const json *body, const struct template_fields *fields, struct buffer *out)
{
	struct json_writer writer;
	struct walk walk = {.root = body, .node = body};
	json_writer_init(&writer, out);
	writer.safe_text = true;
	for (; walk.node != NULL; step(&walk, &writer))
		write_node(&walk, fields, &writer);
}
