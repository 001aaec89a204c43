#include "cli/record_output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/jsonpath.h"
#include "cli/message.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/document/yaml.h"

#define NAME_PREFIX "agentexit.lastword.dev/" /* as kubectl prints -o name */

void record_report_none(const struct record_options *options, const struct exit_list *list)
{
	const char *namespace = options->source.namespace;
	if (list->unreadable > 0)
		message(options->command, "%zu items are no AgentExit", list->unreadable);
	else if (namespace == NULL)
		fputs("No resources found\n", stderr);
	else
		fprintf(stderr, "No resources found in %s namespace.\n", namespace);
}

int record_print(const struct record_options *options, const struct buffer *text)
{
	if (!buffer_ok(text)) {
		message(options->command, "too much to print, or no memory: choose fewer records");
		return EXIT_FAILED;
	}
	fwrite(buffer_text(text), 1, text->length, stdout);
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return EXIT_OK;
	struct error error;
	error_set_errno(&error, errno, "writing standard output");
	message(options->command, "%s", error.message);
	return EXIT_FAILED;
}

/* Lines of a printed object, each behind indent; line ends are layout only. */
static void append_indented(struct buffer *out, const char *text, const char *indent)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		buffer_append_text(out, indent);
		terminal_json(out, text, length);
		text += length;
		if (*text == '\n') {
			buffer_append_char(out, '\n');
			text++;
		}
	}
}

static void write_json(struct buffer *out, const struct exit_list *list)
{
	buffer_append_text(out, "{\n    \"apiVersion\": \"" AGENT_EXIT_API_VERSION "\",\n"
	                        "    \"kind\": \"" AGENT_EXIT_KIND "List\",\n"
	                        "    \"metadata\": {},\n"
	                        "    \"items\": [");
	for (size_t i = 0; i < list->count; i++) {
		buffer_append_text(out, i == 0 ? "\n" : ",\n");
		append_indented(out, list->rows[i].json, "        ");
	}
	buffer_append_text(out, list->count == 0 ? "]\n}\n" : "\n    ]\n}\n");
}

static json *parse_row(const struct exit_list *list, const struct exit_row *row)
{
	json *object;
	return json_parse(list->arena, row->json, strlen(row->json), JSON_KEEP_NUMBERS, &object,
	                  NULL) == JSON_INVALID
	               ? NULL
	               : object;
}

/* The records as an AgentExitList; NULL: no memory. */
static json *make_list(const struct exit_list *list)
{
	struct arena *arena = list->arena;
	json *root = json_new_object(arena);
	json *items = json_new_array(arena);
	bool made = root != NULL && items != NULL &&
	            json_add_member(arena, root, "apiVersion",
	                            json_new_string(arena, AGENT_EXIT_API_VERSION)) &&
	            json_add_member(arena, root, "kind",
	                            json_new_string(arena, AGENT_EXIT_KIND "List")) &&
	            json_add_member(arena, root, "metadata", json_new_object(arena)) &&
	            json_add_member(arena, root, "items", items);
	for (size_t i = 0; i < list->count && made; i++) {
		json *object = parse_row(list, &list->rows[i]);
		made = object != NULL && json_append(items, object);
	}
	return made ? root : NULL;
}

static void write_name(struct buffer *out, const struct exit_row *row)
{
	buffer_append_text(out, NAME_PREFIX);
	terminal_line(out, row->name);
	buffer_append_char(out, '\n');
}

static bool write_tree(const struct record_options *options, const struct exit_list *list,
                       struct buffer *out, struct error *error)
{
	const json *root = make_list(list);
	if (root == NULL)
		return error_set(error, "no memory: choose fewer records");
	if (options->output == RECORDS_JSONPATH) {
		struct jsonpath path;
		return jsonpath_compile(list->arena, options->template, &path, error) &&
		       jsonpath_print(&path, root, list->arena, out, error);
	}
	yaml_print(out, root);
	return true;
}

bool record_output_write(const struct record_options *options, const struct exit_list *list,
                         struct buffer *out, struct error *error)
{
	if (options->output == RECORDS_YAML || options->output == RECORDS_JSONPATH)
		return write_tree(options, list, out, error);
	if (options->output == RECORDS_JSON)
		write_json(out, list);
	for (size_t i = 0; i < list->count && options->output == RECORDS_NAME; i++)
		write_name(out, &list->rows[i]);
	return true;
}

/* What the template makes of one of several records; a message where it wants what is not there. */
static void write_template(const struct record_options *options, const struct jsonpath *path,
                           const json *object, struct arena *arena, struct buffer *out)
{
	struct error error;
	size_t length = out->length;
	if (jsonpath_print(path, object, arena, out, &error))
		return;
	buffer_truncate(out, length);
	message(options->command, "%s", error.message);
}

bool record_output_write_each(const struct record_options *options, const struct exit_list *list,
                              bool first, struct buffer *out, struct error *error)
{
	struct jsonpath path;
	if (options->output == RECORDS_JSONPATH &&
	    !jsonpath_compile(list->arena, options->template, &path, error))
		return false;
	for (size_t i = 0; i < list->count; i++) {
		const struct exit_row *row = &list->rows[i];
		if (options->output == RECORDS_NAME) {
			write_name(out, row);
			continue;
		}
		if (options->output == RECORDS_JSON) {
			append_indented(out, row->json, "");
			buffer_append_char(out, '\n');
			continue;
		}
		const json *object = parse_row(list, row);
		if (object == NULL)
			return error_set(error, "no memory: choose fewer records");
		if (options->output == RECORDS_JSONPATH) {
			write_template(options, &path, object, list->arena, out);
			continue;
		}
		if (i > 0 || !first)
			buffer_append_text(out, "---\n");
		yaml_print(out, object);
	}
	return true;
}
