/*
 * json_tree: the tree from inside, for json*.c alone. The only home of cJSON.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_TREE_H
#define LASTWORD_LIB_DOCUMENT_JSON_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/document/json_tag.h"

typedef struct cJSON json;

/* cJSON's own questions are calls into its library. */
static inline bool is_type(const json *node, int type)
{
	return node != NULL && (node->type & 0xFF) == type;
}

/* A member's node has its key's tag (json_tag.h) in the bits of its type that cJSON does not use,
 * so that most other keys are told apart without a look at their bytes. Every key is set here. */
#define TAG_SHIFT 16

static inline unsigned node_tag(const json *node)
{
	return (unsigned)node->type >> TAG_SHIFT;
}

static inline void set_key(json *node, char *key, unsigned tag)
{
	node->string = key;
	node->type = (int)(((unsigned)node->type & ((1U << TAG_SHIFT) - 1)) | tag << TAG_SHIFT);
}

/* An object has a bit for each of its members' tags in valueint, which cJSON needs for numbers
 * alone: a look-up of a key that it does not have mostly ends there. */
static inline int tag_bit(unsigned tag)
{
	return (int)(1U << (tag & 31));
}

/* The same of all tags at once, whose remainders by 64 have a bit each. */
static inline int tag_bits(uint64_t tags)
{
	return (int)(uint32_t)(tags | tags >> 32);
}

static inline bool may_have(const json *object, unsigned tag)
{
	return (object->valueint & tag_bit(tag)) != 0;
}

/* Keys are short and mostly differ early: a loop here beats a call. */
static inline bool same_key(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	return *a == *b;
}

/* Behind the last child; as cJSON has it the first one's prev is the last one. */
static inline void link_last(json *parent, json *node)
{
	json *first = parent->child;
	parent->valueint |= tag_bit(node_tag(node));
	node->next = NULL;
	if (first == NULL) {
		parent->child = node->prev = node;
		return;
	}
	node->prev = first->prev;
	first->prev->next = node;
	first->prev = node;
}

/* Visits every node once, parents first, in the order of the text. */
struct walk {
	const json *node;
	const json *parents[CJSON_NESTING_LIMIT + 1];
	size_t depth;
};

/* Most of the struct stays as it is: it is too large to be cleared for each small tree. */
static inline void walk_begin(struct walk *walk, const json *node)
{
	walk->node = node;
	walk->depth = 0;
}

static inline void walk_next(struct walk *walk)
{
	if (walk->node->child != NULL && walk->depth < CJSON_NESTING_LIMIT) {
		walk->parents[walk->depth++] = walk->node;
		walk->node = walk->node->child;
		return;
	}
	while (walk->depth > 0 && walk->node->next == NULL)
		walk->node = walk->parents[--walk->depth];
	walk->node = walk->depth == 0 ? NULL : walk->node->next;
}

#endif
