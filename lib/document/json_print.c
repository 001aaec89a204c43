#include <inttypes.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/document/json.h"
#include "lib/document/json_tree.h"

static void print_number(struct buffer *out, const json *node)
{
	int64_t integer;
	double value;
	if (json_number_text(node) != NULL)
		buffer_append_text(out, json_number_text(node));
	else if (json_integer(node, &integer))
		buffer_printf(out, "%" PRId64, integer);
	else if (json_double(node, &value))
		buffer_printf(out, "%.17g", value);
	else
		buffer_append_text(out, "null");
}

/* What has no members or elements. */
static void print_leaf(struct buffer *out, const json *node)
{
	const char *text = json_string(node);
	if (text != NULL)
		json_escape(out, text, strlen(text));
	else if (json_is_number(node))
		print_number(out, node);
	else if (json_is_bool(node))
		buffer_append_text(out, json_is_true(node) ? "true" : "false");
	else if (json_is_object(node))
		buffer_append_text(out, "{}");
	else if (json_is_array(node))
		buffer_append_text(out, "[]");
	else
		buffer_append_text(out, "null");
}

static void print_line_start(struct buffer *out, unsigned indent, size_t depth)
{
	if (indent == 0)
		return;
	buffer_append_char(out, '\n');
	for (size_t i = 0; i < depth * indent; i++)
		buffer_append_char(out, ' ');
}

void json_print(struct buffer *out, const json *node, unsigned indent)
{
	const json *parents[JSON_DEPTH_MAX + 1];
	size_t depth = 0;
	parents[0] = NULL;
	for (;;) {
		if (depth > 0) {
			const json *parent = parents[depth - 1];
			if (node != parent->child)
				buffer_append_char(out, ',');
			print_line_start(out, indent, depth);
			if (is_type(parent, cJSON_Object)) {
				json_escape(out, node->string, strlen(node->string));
				buffer_append_char(out, ':');
				if (indent > 0)
					buffer_append_char(out, ' ');
			}
		}
		if (node->child != NULL && depth < JSON_DEPTH_MAX) {
			buffer_append_char(out, is_type(node, cJSON_Object) ? '{' : '[');
			parents[depth++] = node;
			node = node->child;
			continue;
		}
		print_leaf(out, node);
		while (depth > 0 && node->next == NULL) {
			node = parents[--depth];
			print_line_start(out, indent, depth);
			buffer_append_char(out, is_type(node, cJSON_Object) ? '}' : ']');
		}
		if (depth == 0)
			return;
		node = node->next;
	}
}
