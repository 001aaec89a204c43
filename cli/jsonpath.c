#include "cli/jsonpath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"

#define RANGES_MAX 16 /* nested */

struct parser {
	struct arena *arena;
	const char *begin;
	const char *at;
	struct error *error;
};

static bool fail(const struct parser *parser, const char *problem)
{
	return error_set(parser->error, "-o jsonpath: column %zu: %s",
	                 (size_t)(parser->at - parser->begin) + 1, problem);
}

static bool fail_memory(const struct parser *parser)
{
	return fail(parser, "out of memory");
}

static void skip_spaces(struct parser *parser)
{
	while (ascii_is_space(*parser->at))
		parser->at++;
}

static bool expect(struct parser *parser, char byte, const char *problem)
{
	skip_spaces(parser);
	if (*parser->at != byte)
		return fail(parser, problem);
	parser->at++;
	return true;
}

/* ---- Texts ---- */

/* A quoted text, which begins here, with Go's escapes of one character. */
static bool read_quoted(struct parser *parser, const char **ret_text)
{
	static const char escapes[] = "n\nt\tr\r\\\\\"\"''";
	char quote = *parser->at++;
	char *text = arena_take(parser->arena, strlen(parser->at) + 1);
	size_t length = 0;
	if (text == NULL)
		return fail_memory(parser);
	for (; *parser->at != quote; parser->at++) {
		if (*parser->at == '\0')
			return fail(parser, "the quotation has no end");
		if (*parser->at == '\\') {
			const char *escape = escapes;
			parser->at++;
			while (*escape != '\0' && *escape != *parser->at)
				escape += 2;
			if (*escape == '\0')
				return fail(parser, "not an escape; expected \\n, \\t, \\r, \\\\, "
				                    "\\\" or \\'");
			text[length++] = escape[1];
		} else {
			text[length++] = *parser->at;
		}
	}
	parser->at++;
	text[length] = '\0';
	*ret_text = text;
	return true;
}

/* ---- Steps ---- */

static struct jsonpath_step *add_step(const struct parser *parser, struct jsonpath_step ***link,
                                      enum jsonpath_step_kind kind)
{
	struct jsonpath_step *step = arena_allocate(parser->arena, sizeof *step);
	if (step == NULL)
		return NULL;
	step->kind = kind;
	**link = step;
	*link = &step->next;
	return step;
}

static bool ends_name(char byte)
{
	return byte == '\0' || strchr(".[]{}()<>=!,'\" \t\r\n", byte) != NULL;
}

/* A name up to a character that cannot be in one; \ takes away the meaning of the next. */
static bool read_member(struct parser *parser, struct jsonpath_step ***link)
{
	const char *begin = parser->at;
	char *name = arena_take(parser->arena, strlen(begin) + 1);
	size_t length = 0;
	struct jsonpath_step *step = add_step(parser, link, JSONPATH_MEMBER);
	if (name == NULL || step == NULL)
		return fail_memory(parser);
	while (!ends_name(*parser->at)) {
		parser->at += *parser->at == '\\' && parser->at[1] != '\0';
		name[length++] = *parser->at++;
	}
	name[length] = '\0';
	step->name = name;
	return length > 0 || fail(parser, "expected the name of a member");
}

/* 'a.b': as .a.b */
static bool read_quoted_members(struct parser *parser, struct jsonpath_step ***link)
{
	char quote = *parser->at++;
	const char *begin = parser->at;
	const char *end = strchr(begin, quote);
	if (end == NULL)
		return fail(parser, "the quotation has no end");
	struct parser inner = *parser;
	size_t length = (size_t)(end - begin);
	inner.at = inner.begin = arena_copy(parser->arena, begin, length);
	inner.error = NULL;
	if (inner.at == NULL)
		return fail_memory(parser);
	do
		if (!read_member(&inner, link))
			return fail(parser, "expected the name of a member");
	while (*inner.at == '.' && *++inner.at != '\0');
	if (*inner.at != '\0')
		return fail(parser, "expected the name of a member");
	parser->at = end + 1;
	return true;
}

static bool read_integer(struct parser *parser, struct jsonpath_bound *ret_bound)
{
	char *end;
	skip_spaces(parser);
	if (!ascii_is_digit(*parser->at) && *parser->at != '-')
		return true;
	errno = 0;
	long long value = strtoll(parser->at, &end, 10);
	if (errno != 0 || end == parser->at || value > INT32_MAX || value < -INT32_MAX)
		return fail(parser, "expected the number of an element");
	parser->at = end;
	*ret_bound = (struct jsonpath_bound){value, true};
	skip_spaces(parser);
	return true;
}

/* n, or from:to:step of which each may be missing. */
static bool read_slice(struct parser *parser, struct jsonpath_step ***link)
{
	struct jsonpath_step *step = add_step(parser, link, JSONPATH_SLICE);
	if (step == NULL)
		return fail_memory(parser);
	size_t i = 0;
	for (;; parser->at++, i++) {
		if (!read_integer(parser, &step->bounds[i]))
			return false;
		if (*parser->at != ':' || i == 2)
			break;
	}
	step->single = i == 0;
	return i > 0 || step->bounds[0].known ||
	       fail(parser, "expected a number, 'name', * or ?( behind [");
}

static bool read_choice(struct parser *parser, struct jsonpath_step ***link)
{
	skip_spaces(parser);
	bool quoted = *parser->at == '\'' || *parser->at == '"';
	return (quoted ? read_quoted_members : read_slice)(parser, link);
}

/* At the end of the union's choices; false: no memory. */
static bool add_choice(const struct parser *parser, struct jsonpath_step *step,
                       const struct jsonpath_step *steps)
{
	struct jsonpath_choice **link = &step->first;
	while (*link != NULL)
		link = &(*link)->next;
	*link = arena_allocate(parser->arena, sizeof **link);
	if (*link == NULL)
		return false;
	(*link)->steps = steps;
	return true;
}

/* What stands behind [ up to its ], but for a filter. */
static bool read_bracket(struct parser *parser, struct jsonpath_step ***link)
{
	static const char *const problem = "expected ]";
	struct jsonpath_step *single = NULL;
	struct jsonpath_step **end = &single;
	skip_spaces(parser);
	if (*parser->at == '*') {
		parser->at++;
		return (add_step(parser, link, JSONPATH_ALL) != NULL || fail_memory(parser)) &&
		       expect(parser, ']', problem);
	}
	if (!read_choice(parser, &end))
		return false;
	skip_spaces(parser);
	if (*parser->at != ',') {
		**link = single;
		*link = end;
		return expect(parser, ']', problem);
	}
	struct jsonpath_step *step = add_step(parser, link, JSONPATH_UNION);
	if (step == NULL || !add_choice(parser, step, single))
		return fail_memory(parser);
	while (*parser->at == ',') {
		struct jsonpath_step *steps = NULL;
		struct jsonpath_step **last = &steps;
		parser->at++;
		if (!read_choice(parser, &last))
			return false;
		if (!add_choice(parser, step, steps))
			return fail_memory(parser);
		skip_spaces(parser);
	}
	return expect(parser, ']', problem);
}

/* Behind a dot. */
static bool read_dotted(struct parser *parser, struct jsonpath_step ***link)
{
	if (*parser->at == '.') {
		parser->at++;
		if (add_step(parser, link, JSONPATH_BELOW) == NULL)
			return fail_memory(parser);
		if (*parser->at == '[')
			return true;
	}
	if (*parser->at == '*') {
		parser->at++;
		return add_step(parser, link, JSONPATH_ALL) != NULL || fail_memory(parser);
	}
	/* {.} is the object itself. */
	return *parser->at == '[' || *parser->at == '}' || *parser->at == ')' ||
	       read_member(parser, link);
}

static bool begins_filter(const struct parser *parser)
{
	return parser->at[0] == '[' && parser->at[1] == '?' && parser->at[2] == '(';
}

/* The steps of a path up to one that cannot be read as one, or to a filter. */
static bool read_steps(struct parser *parser, struct jsonpath_step ***link)
{
	while ((*parser->at == '.' || *parser->at == '[') && !begins_filter(parser)) {
		bool dotted = *parser->at++ == '.';
		if (!(dotted ? read_dotted : read_bracket)(parser, link))
			return false;
	}
	return true;
}

/* $ or @ at the beginning of a path. */
static bool read_start(struct parser *parser, struct jsonpath_step ***link)
{
	if (*parser->at != '$' && *parser->at != '@')
		return true;
	enum jsonpath_step_kind kind = *parser->at++ == '$' ? JSONPATH_ROOT : JSONPATH_CURRENT;
	return add_step(parser, link, kind) != NULL || fail_memory(parser);
}

/* ---- Filters ---- */

static bool read_value(struct parser *parser, const json **ret_value)
{
	const char *text;
	json *value = NULL;
	if (*parser->at == '\'' || *parser->at == '"') {
		if (!read_quoted(parser, &text))
			return false;
		value = json_new_string_ref(parser->arena, text);
	} else {
		size_t length = strcspn(parser->at, ")<>=! \t");
		if (json_parse(parser->arena, parser->at, length, JSON_KEEP_NUMBERS, &value,
		               NULL) == JSON_INVALID)
			return fail(parser, "expected a path, a number, true, false or a text in "
			                    "quotes");
		parser->at += length;
	}
	*ret_value = value;
	return value != NULL || fail_memory(parser);
}

static bool read_operand(struct parser *parser, struct jsonpath_operand *ret_operand)
{
	struct jsonpath_step *path = NULL;
	struct jsonpath_step **link = &path;
	skip_spaces(parser);
	if (*parser->at != '@' && *parser->at != '$' && *parser->at != '.')
		return read_value(parser, &ret_operand->value);
	if (!read_start(parser, &link) || !read_steps(parser, &link))
		return false;
	if (begins_filter(parser))
		return fail(parser, "a filter within a filter cannot be read");
	/* "@" alone is the element itself. */
	if (path == NULL && add_step(parser, &link, JSONPATH_CURRENT) == NULL)
		return fail_memory(parser);
	ret_operand->path = path;
	return true;
}

static enum jsonpath_operator read_operator(struct parser *parser)
{
	static const struct {
		const char *text;
		enum jsonpath_operator operator;
	} operators[] = {
	        {"==", JSONPATH_EQUAL},      {"!=", JSONPATH_NOT_EQUAL},
	        {"<=", JSONPATH_LESS_EQUAL}, {">=", JSONPATH_GREATER_EQUAL},
	        {"<", JSONPATH_LESS},        {">", JSONPATH_GREATER},
	};
	skip_spaces(parser);
	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
		size_t length = strlen(operators[i].text);
		if (strncmp(parser->at, operators[i].text, length) != 0)
			continue;
		parser->at += length;
		return operators[i].operator;
	}
	return JSONPATH_EXISTS;
}

static bool read_filter(struct parser *parser, struct jsonpath_step ***link)
{
	struct jsonpath_step *step = add_step(parser, link, JSONPATH_FILTER);
	if (step == NULL)
		return fail_memory(parser);
	parser->at += strlen("[?(");
	if (!read_operand(parser, &step->left))
		return false;
	step->operator= read_operator(parser);
	if (step->operator!= JSONPATH_EXISTS && !read_operand(parser, &step->right))
		return false;
	return expect(parser, ')', "expected ==, !=, <, <=, >, >= or )") &&
	       expect(parser, ']', "expected ] behind the filter");
}

/* ---- Actions ---- */

static bool read_path(struct parser *parser, const struct jsonpath_step **ret_path)
{
	struct jsonpath_step *path = NULL;
	struct jsonpath_step **link = &path;
	skip_spaces(parser);
	if (strchr(".[$@", *parser->at) == NULL || *parser->at == '\0')
		return fail(parser, "expected a path, which begins with . or [, \"text\", range or "
		                    "end");
	if (!read_start(parser, &link) || !read_steps(parser, &link))
		return false;
	while (begins_filter(parser))
		if (!read_filter(parser, &link) || !read_steps(parser, &link))
			return false;
	*ret_path = path;
	return true;
}

static bool begins_word(const struct parser *parser, const char *word)
{
	size_t length = strlen(word);
	return strncmp(parser->at, word, length) == 0 &&
	       (ascii_is_space(parser->at[length]) || parser->at[length] == '}');
}

/* What stands in braces; the opening one is behind us. */
static bool read_action(struct parser *parser, struct jsonpath_action *action)
{
	skip_spaces(parser);
	if (*parser->at == '"' || *parser->at == '\'') {
		action->kind = JSONPATH_TEXT;
		if (!read_quoted(parser, &action->text))
			return false;
	} else if (begins_word(parser, "end")) {
		action->kind = JSONPATH_END;
		parser->at += strlen("end");
	} else {
		bool range = begins_word(parser, "range");
		action->kind = range ? JSONPATH_RANGE : JSONPATH_PATH;
		parser->at += range ? strlen("range") : 0;
		if (!read_path(parser, &action->path))
			return false;
	}
	return expect(parser, '}', "expected }");
}

static bool read_text(struct parser *parser, struct jsonpath_action *action)
{
	size_t length = strcspn(parser->at, "{");
	action->kind = JSONPATH_TEXT;
	action->text = arena_copy(parser->arena, parser->at, length);
	parser->at += length;
	return action->text != NULL || fail_memory(parser);
}

bool jsonpath_compile(struct arena *arena, const char *template, struct jsonpath *ret_path,
                      struct error *error)
{
	struct parser parser = {.arena = arena, .begin = template, .at = template, .error = error};
	struct jsonpath_action *first = NULL;
	struct jsonpath_action **link = &first;
	struct jsonpath_action *open[RANGES_MAX];
	size_t depth = 0;
	while (*parser.at != '\0') {
		struct jsonpath_action *action = arena_allocate(arena, sizeof *action);
		if (action == NULL)
			return fail_memory(&parser);
		bool braced = *parser.at == '{';
		parser.at += braced;
		if (!(braced ? read_action : read_text)(&parser, action))
			return false;
		if (action->kind == JSONPATH_RANGE) {
			if (depth == RANGES_MAX)
				return fail(&parser, "too many ranges within each other");
			open[depth++] = action;
		} else if (action->kind == JSONPATH_END) {
			if (depth == 0)
				return fail(&parser, "{end} without a {range}");
			action->match = open[--depth];
			open[depth]->match = action;
		}
		*link = action;
		link = &action->next;
	}
	if (depth > 0)
		return fail(&parser, "expected {end}: a {range} is open");
	ret_path->first = first;
	return true;
}
