#include <string.h>

#include "cli/jsonpath.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"

#define RESULTS_MAX ((size_t)1 << 24)

/* Nodes of the object, in the order of the results; the arena's. */
struct nodes {
	const json **list;
	size_t count;
	size_t capacity;
};

/* Where a path is evaluated. */
struct scope {
	struct arena *arena;
	const json *root;
	const json *current;
	struct error *error;
};

static bool add(const struct scope *scope, struct nodes *nodes, const json *node)
{
	if (nodes->count == nodes->capacity) {
		size_t capacity = nodes->capacity == 0 ? 8 : 2 * nodes->capacity;
		const json **list = capacity > RESULTS_MAX
		                            ? NULL
		                            : arena_take(scope->arena, capacity * sizeof *list);
		if (list == NULL)
			return error_set(scope->error,
			                 "-o jsonpath: too many results, or no memory");
		if (nodes->count > 0)
			memcpy(list, nodes->list, nodes->count * sizeof *list);
		nodes->list = list;
		nodes->capacity = capacity;
	}
	nodes->list[nodes->count++] = node;
	return true;
}

static bool add_children(const struct scope *scope, struct nodes *nodes, const json *node)
{
	if (!json_is_object(node) && !json_is_array(node))
		return true;
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!add(scope, nodes, n))
			return false;
	return true;
}

/* The node and everything below it that has children, each before what is below it. */
static bool add_below(const struct scope *scope, struct nodes *nodes, const json *node)
{
	struct nodes waiting = {.count = 0};
	if (!add(scope, &waiting, node))
		return false;
	while (waiting.count > 0) {
		const json *next = waiting.list[--waiting.count];
		size_t begin = waiting.count;
		if (!add_children(scope, &waiting, next))
			return false;
		if (waiting.count > begin && !add(scope, nodes, next))
			return false;
		/* The first child is to be the next one that is taken. */
		for (size_t i = begin, j = waiting.count; i + 1 < j; i++) {
			const json *swapped = waiting.list[--j];
			waiting.list[j] = waiting.list[i];
			waiting.list[i] = swapped;
		}
	}
	return true;
}

static bool add_slice(const struct scope *scope, struct nodes *nodes, const json *node,
                      const struct jsonpath_step *step)
{
	if (json_is_null(node))
		return true;
	if (!json_is_array(node))
		return error_set(scope->error, "-o jsonpath: %s is no array", json_type_name(node));
	int64_t size = (int64_t)json_size(node);
	const struct jsonpath_bound *bounds = step->bounds;
	int64_t from = bounds[0].known ? bounds[0].value : 0;
	from += from < 0 ? size : 0;
	int64_t to = step->single ? from + 1 : bounds[1].known ? bounds[1].value : size;
	to += !step->single && to < 0 ? size : 0;
	int64_t by = bounds[2].known ? bounds[2].value : 1;
	if (by <= 0)
		return error_set(scope->error, "-o jsonpath: the step of a slice must be above 0");
	if (from == to)
		return true;
	if (from < 0 || from >= size || to < from || to > size)
		return error_set(scope->error,
		                 "-o jsonpath: an array of %lld elements has no [%lld:%lld]",
		                 (long long)size, (long long)from, (long long)to);
	int64_t i = 0;
	for (const json *n = json_first(node); n != NULL && i < to; n = json_next(n), i++)
		if (i >= from && (i - from) % by == 0 && !add(scope, nodes, n))
			return false;
	return true;
}

/* A step that is neither a union nor a filter. */
static bool take_step(const struct scope *scope, const struct jsonpath_step *step, const json *node,
                      struct nodes *results)
{
	const json *member;
	switch (step->kind) {
	case JSONPATH_ROOT:
		return add(scope, results, scope->root);
	case JSONPATH_CURRENT:
		return add(scope, results, scope->current);
	case JSONPATH_MEMBER:
		member = json_get(node, step->name);
		return member == NULL || add(scope, results, member);
	case JSONPATH_ALL:
		return add_children(scope, results, node);
	case JSONPATH_BELOW:
		return add_below(scope, results, node);
	default:
		return add_slice(scope, results, node, step);
	}
}

/* One step from all nodes so far. */
typedef bool advance(const struct scope *scope, const struct jsonpath_step *step,
                     const struct nodes *from, struct nodes *results);

static bool advance_simply(const struct scope *scope, const struct jsonpath_step *step,
                           const struct nodes *from, struct nodes *results)
{
	for (size_t i = 0; i < from->count; i++)
		if (!take_step(scope, step, from->list[i], results))
			return false;
	return true;
}

/* The path from that node. */
static bool walk(const struct scope *scope, const struct jsonpath_step *step, const json *node,
                 advance *go, struct nodes *ret_results)
{
	struct nodes results = {.count = 0};
	if (!add(scope, &results, node))
		return false;
	for (; step != NULL; step = step->next) {
		struct nodes next = {.count = 0};
		if (!go(scope, step, &results, &next))
			return false;
		results = next;
	}
	*ret_results = results;
	return true;
}

/* Of all nodes the first choice, then of all the second one. A choice has simple steps alone. */
static bool advance_or_choose(const struct scope *scope, const struct jsonpath_step *step,
                              const struct nodes *from, struct nodes *results)
{
	if (step->kind != JSONPATH_UNION)
		return advance_simply(scope, step, from, results);
	for (const struct jsonpath_choice *c = step->first; c != NULL; c = c->next)
		for (size_t i = 0; i < from->count; i++) {
			struct nodes chosen;
			if (!walk(scope, c->steps, from->list[i], advance_simply, &chosen))
				return false;
			for (size_t j = 0; j < chosen.count; j++)
				if (!add(scope, results, chosen.list[j]))
					return false;
		}
	return true;
}

/* ---- Filters ---- */

static bool operand_of(const struct scope *scope, const struct jsonpath_operand *operand,
                       const json *element, const json **ret_value)
{
	struct nodes results;
	*ret_value = operand->value;
	if (operand->path == NULL)
		return true;
	struct scope inner = *scope;
	inner.current = element;
	if (!walk(&inner, operand->path, element, advance_or_choose, &results))
		return false;
	if (results.count > 1)
		return error_set(scope->error,
		                 "-o jsonpath: a filter compares one value, and there are %zu",
		                 results.count);
	*ret_value = results.count == 0 ? NULL : results.list[0];
	return true;
}

/* Below, at or above 0 as a is below, equal to or above b; false: they cannot be compared. */
static bool compare(const json *a, const json *b, int *ret_order)
{
	double left;
	double right;
	if (json_is_string(a) && json_is_string(b))
		*ret_order = strcmp(json_string(a), json_string(b));
	else if (json_double(a, &left) && json_double(b, &right))
		*ret_order = (left > right) - (left < right);
	else if (json_is_bool(a) && json_is_bool(b))
		*ret_order = (int)json_is_true(a) - (int)json_is_true(b);
	else
		return false;
	return true;
}

static bool is_true(enum jsonpath_operator operator, int order)
{
	switch (operator) {
	case JSONPATH_EQUAL:
		return order == 0;
	case JSONPATH_NOT_EQUAL:
		return order != 0;
	case JSONPATH_LESS:
		return order < 0;
	case JSONPATH_LESS_EQUAL:
		return order <= 0;
	case JSONPATH_GREATER:
		return order > 0;
	default:
		return order >= 0;
	}
}

static bool take_filter(const struct scope *scope, const struct jsonpath_step *step,
                        const json *node, struct nodes *results)
{
	for (const json *n = json_is_array(node) ? json_first(node) : NULL; n != NULL;
	     n = json_next(n)) {
		const json *left;
		const json *right;
		int order;
		if (!operand_of(scope, &step->left, n, &left) ||
		    !operand_of(scope, &step->right, n, &right))
			return false;
		bool chosen = step->operator== JSONPATH_EXISTS
		                      ? left != NULL
		                      : left != NULL && right != NULL &&
		                                compare(left, right, &order) &&
		                                is_true(step->operator, order);
		if (chosen && !add(scope, results, n))
			return false;
	}
	return true;
}

/* A step of any kind. A filter's own paths have none. */
static bool advance_or_filter(const struct scope *scope, const struct jsonpath_step *step,
                              const struct nodes *from, struct nodes *results)
{
	if (step->kind != JSONPATH_FILTER)
		return advance_or_choose(scope, step, from, results);
	for (size_t i = 0; i < from->count; i++)
		if (!take_filter(scope, step, from->list[i], results))
			return false;
	return true;
}

static bool evaluate(const struct scope *scope, const struct jsonpath_step *step,
                     struct nodes *ret_results)
{
	return walk(scope, step, scope->current, advance_or_filter, ret_results);
}

/* ---- Printing ---- */

static void print_text(struct buffer *out, const char *text)
{
	if (strpbrk(text, "\n\t") == NULL) {
		terminal_line(out, text);
		return;
	}
	terminal_block(out, text, "");
	/* A block gets a line end. */
	if (text[strlen(text) - 1] != '\n' && buffer_ok(out))
		buffer_truncate(out, out->length - 1);
}

static void print_node(struct buffer *out, const json *node)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, out->limit);
	if (json_is_string(node)) {
		print_text(out, json_string(node));
		return;
	}
	json_print(&text, node, 0);
	terminal_json(out, buffer_text(&text), text.length);
	out->failed = out->failed || !buffer_ok(&text);
}

static bool print_path(const struct scope *scope, const struct jsonpath_step *path,
                       struct buffer *out)
{
	struct nodes results;
	if (!evaluate(scope, path, &results))
		return false;
	for (size_t i = 0; i < results.count; i++) {
		if (i > 0)
			buffer_append_char(out, ' ');
		print_node(out, results.list[i]);
	}
	return true;
}

/* A range that is being gone through. */
struct loop {
	struct nodes elements;
	size_t at;
	const json *outer;
	struct loop *below;
};

/* Goes to the next element of the loop, or leaves it; returns what is to be done next. */
static const struct jsonpath_action *go_on(struct scope *scope, struct loop **top,
                                           const struct jsonpath_action *range)
{
	struct loop *loop = *top;
	if (loop == NULL) /* an end has its range: jsonpath_compile() */
		return range->match->next;
	if (loop->at < loop->elements.count) {
		scope->current = loop->elements.list[loop->at++];
		return range->next;
	}
	scope->current = loop->outer;
	*top = loop->below;
	return range->match->next;
}

bool jsonpath_print(const struct jsonpath *path, const json *object, struct arena *arena,
                    struct buffer *out, struct error *error)
{
	struct scope scope = {.arena = arena, .root = object, .current = object, .error = error};
	struct loop *top = NULL;
	const struct jsonpath_action *action = path->first;
	while (action != NULL && buffer_ok(out)) {
		const struct jsonpath_action *next = action->next;
		if (action->kind == JSONPATH_TEXT) {
			buffer_append_text(out, action->text);
		} else if (action->kind == JSONPATH_PATH) {
			if (!print_path(&scope, action->path, out))
				return false;
		} else if (action->kind == JSONPATH_END) {
			next = go_on(&scope, &top, action->match);
		} else {
			struct loop *loop = arena_allocate(arena, sizeof *loop);
			if (loop == NULL)
				return error_set(error, "-o jsonpath: out of memory");
			if (!evaluate(&scope, action->path, &loop->elements))
				return false;
			loop->outer = scope.current;
			loop->below = top;
			top = loop;
			next = go_on(&scope, &top, action);
		}
		action = next;
	}
	return true;
}
