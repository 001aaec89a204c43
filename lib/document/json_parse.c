#include "lib/document/json_parse.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/utf8.h"
#include "lib/base/word.h"
#include "lib/document/json_tree.h"

#define NODES_AT_ONCE 32

/* A container that is open. */
struct level {
	json *container;
	json *last;    /* of its children so far; NULL: there is none */
	uint64_t seen; /* a bit for each of its keys' tags */
	bool ties;     /* two keys have the same bit */
	char end;      /* the bracket that closes it */
};

/* Functions that read take the place to read at and return the one behind what they have read;
 * NULL: the text is refused there. */
struct parser {
	struct arena *arena;
	char *text; /* the copy: length bytes and a word of NULs, which are no JSON */
	size_t length;
	bool keep_numbers;
	char *refused;       /* where it is no JSON */
	const char *problem; /* why */
	bool full;           /* the arena is */
	char *not_utf8;
	char *nul;
	json *spare; /* zeroed nodes, spare_count of them */
	size_t spare_count;
	bool keys_differ;
	struct level *innermost;
	struct level levels[1 + JSON_PARSE_DEPTH_MAX]; /* the first stands for none */
};

static char *refuse(struct parser *parser, char *at, const char *problem)
{
	parser->refused = at;
	parser->problem = problem;
	return NULL;
}

/* ---- Nodes ---- */

static bool make_spare_nodes(struct parser *parser)
{
	parser->spare = arena_allocate(parser->arena, NODES_AT_ONCE * sizeof *parser->spare);
	parser->full = parser->spare == NULL;
	parser->spare_count = NODES_AT_ONCE;
	return !parser->full;
}

static inline json *new_node(struct parser *parser)
{
	if (parser->spare_count == 0 && !make_spare_nodes(parser))
		return NULL;
	parser->spare_count--;
	return parser->spare++;
}

/* Of a node that may have its key already. */
static inline void set_type(json *node, int type)
{
	node->type |= type;
}

static inline void add_child(struct level *level, json *node)
{
	if (level->last == NULL) {
		level->container->child = node;
	} else {
		level->last->next = node;
		node->prev = level->last;
	}
	level->last = node;
}

static inline char *open_container(struct parser *parser, char *at, json *node)
{
	if (parser->innermost == &parser->levels[JSON_PARSE_DEPTH_MAX])
		return refuse(parser, at, "nested deeper than 1000");
	bool object = *at == '{';
	set_type(node, object ? cJSON_Object : cJSON_Array);
	struct level *level = ++parser->innermost;
	level->container = node;
	level->last = NULL;
	level->seen = 0;
	level->ties = false;
	level->end = object ? '}' : ']';
	return at + 1;
}

/* ---- Strings ---- */

/* The next byte that is a quote, a backslash, below 0x20 or above 0x7f; the NULs behind the text
 * end the search. */
static inline char *find_special(char *at)
{
	for (;; at += WORD_SIZE) {
		uint64_t found = word_string_specials(word_load_whole(at));
		if (found != 0)
			return at + word_first_byte(found);
	}
}

static bool read_hex(const char *at, uint32_t *ret_value)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		int digit = ascii_hex_value(at[i]);
		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*ret_value = value;
	return true;
}

static char *write_utf8(char *to, uint32_t point)
{
	if (point < 0x80) {
		*to++ = (char)point;
		return to;
	}
	if (point < 0x800) {
		*to++ = (char)(0xc0 | point >> 6);
	} else {
		if (point < 0x10000) {
			*to++ = (char)(0xe0 | point >> 12);
		} else {
			*to++ = (char)(0xf0 | point >> 18);
			*to++ = (char)(0x80 | (point >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (point >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (point & 0x3f));
	return to;
}

/* \uXXXX, a pair of them for what is beyond U+FFFF. */
static char *read_unicode_escape(struct parser *parser, char *at, char **to)
{
	uint32_t point;
	uint32_t low;
	char *start = at;
	if (!read_hex(at + 2, &point))
		return refuse(parser, start, "expected four hexadecimal digits");
	at += 6;
	if (point >= 0xdc00 && point <= 0xdfff)
		return refuse(parser, start, "half of a surrogate pair");
	if (point >= 0xd800 && point <= 0xdbff) {
		if (at[0] != '\\' || at[1] != 'u' || !read_hex(at + 2, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return refuse(parser, start, "half of a surrogate pair");
		point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
		at += 6;
	}
	if (point == 0 && parser->nul == NULL)
		parser->nul = start;
	*to = write_utf8(*to, point);
	return at;
}

/* What a backslash and the letter stand for; NUL: nothing. */
static char meaning(char letter)
{
	switch (letter) {
	case '"':
	case '\\':
	case '/':
		return letter;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

static char *read_escape(struct parser *parser, char *at, char **to)
{
	if (at[1] == 'u')
		return read_unicode_escape(parser, at, to);
	char character = meaning(at[1]);
	if (character == '\0')
		return refuse(parser, at, "an escape that is none");
	*(*to)++ = character;
	return at + 2;
}

/* Bytes above 0x7f: copied, and looked at. */
static char *copy_high_bytes(struct parser *parser, char *at, char **to)
{
	char *end = at;
	while ((unsigned char)*end > 0x7f)
		end++;
	size_t length = (size_t)(end - at);
	size_t valid = utf8_valid_prefix(at, length);
	if (valid < length && parser->not_utf8 == NULL)
		parser->not_utf8 = at + valid;
	memmove(*to, at, length);
	*to += length;
	return end;
}

/* The rest of a string at what is special in it: the bytes move up where escapes were. */
static char *read_special_string(struct parser *parser, char *start, char *special,
                                 size_t *ret_length)
{
	char *to = special;
	while (*special != '"') {
		char *at;
		if (*special == '\\')
			at = read_escape(parser, special, &to);
		else if ((unsigned char)*special > 0x7f)
			at = copy_high_bytes(parser, special, &to);
		else
			at = refuse(parser, special, "a control character in a string");
		if (at == NULL)
			return NULL;
		special = find_special(at);
		size_t length = (size_t)(special - at);
		if (to != at)
			memmove(to, at, length);
		to += length;
	}
	*to = '\0';
	*ret_length = (size_t)(to - start);
	return special + 1;
}

/* From behind its opening quote. The string stays in its place, at start. */
static inline char *read_string(struct parser *parser, char *start, size_t *ret_length)
{
	char *special = find_special(start);
	if (*special != '"')
		return read_special_string(parser, start, special, ret_length);
	*special = '\0';
	*ret_length = (size_t)(special - start);
	return special + 1;
}

/* ---- Numbers and words ---- */

static char *skip_digits(char *at)
{
	while (ascii_is_digit(*at))
		at++;
	return at;
}

/* Behind the number at that place; NULL: it is none. *ret_integer: it has neither fraction nor
 * exponent. */
static char *number_end(char *at, bool *ret_integer)
{
	at += *at == '-';
	if (!ascii_is_digit(*at))
		return NULL;
	at = *at == '0' ? at + 1 : skip_digits(at);
	char *integer = at;
	if (*at == '.') {
		if (!ascii_is_digit(at[1]))
			return NULL;
		at = skip_digits(at + 1);
	}
	if (*at == 'e' || *at == 'E') {
		at += at[1] == '+' || at[1] == '-' ? 2 : 1;
		if (!ascii_is_digit(*at))
			return NULL;
		at = skip_digits(at);
	}
	*ret_integer = at == integer;
	return at;
}

static double number_value(char *start, char *end, bool integer)
{
	int64_t value = 0;
	bool negative = *start == '-';
	/* 15 digits are exact in a double, and quicker than strtod(). */
	if (integer && end - start - negative <= 15) {
		for (const char *digit = start + negative; digit < end; digit++)
			value = value * 10 + (*digit - '0');
		return negative ? -(double)value : (double)value;
	}
	char after = *end;
	*end = '\0';
	double number = strtod(start, NULL);
	*end = after;
	return number;
}

static char *read_number(struct parser *parser, char *start, json *node)
{
	bool integer;
	char *end = number_end(start, &integer);
	if (end == NULL)
		return refuse(parser, start, "a number that is none");
	double value = number_value(start, end, integer);
	set_type(node, cJSON_Number);
	node->valuedouble = value;
	node->valueint = value >= INT_MAX ? INT_MAX : value <= INT_MIN ? INT_MIN : (int)value;
	if (!parser->keep_numbers)
		return end;
	node->valuestring = arena_copy(parser->arena, start, (size_t)(end - start));
	parser->full = node->valuestring == NULL;
	return parser->full ? NULL : end;
}

static char *read_word(struct parser *parser, char *at, json *node)
{
	static const struct {
		const char *text;
		size_t length;
		int type;
	} words[] = {{"true", 4, cJSON_True}, {"false", 5, cJSON_False}, {"null", 4, cJSON_NULL}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (memcmp(at, words[i].text, words[i].length) != 0)
			continue;
		set_type(node, words[i].type);
		node->valueint = words[i].type == cJSON_True;
		return at + words[i].length;
	}
	return refuse(parser, at, "a value was expected");
}

/* ---- Values ---- */

static inline bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* An API server sends none: one comparison says so. */
static inline char *skip_space(char *at)
{
	while ((unsigned char)*at <= ' ' && is_space(*at))
		at++;
	return at;
}

static char *read_scalar(struct parser *parser, char *at, json *node)
{
	if (*at == 't' || *at == 'f' || *at == 'n')
		return read_word(parser, at, node);
	if (*at == '-' || ascii_is_digit(*at))
		return read_number(parser, at, node);
	return refuse(parser, at, "a value was expected");
}

/* A value, or the beginning of a container. */
static inline char *read_value(struct parser *parser, char *at, json *node)
{
	size_t length;
	if (*at == '{' || *at == '[')
		return open_container(parser, at, node);
	if (*at != '"')
		return read_scalar(parser, at, node);
	set_type(node, cJSON_String);
	node->valuestring = at + 1;
	return read_string(parser, at + 1, &length);
}

static inline char *read_key(struct parser *parser, char *at, struct level *level, json *node)
{
	size_t length;
	if (*at != '"')
		return refuse(parser, at, "a key in quotes was expected");
	char *key = at + 1;
	at = read_string(parser, key, &length);
	if (at == NULL)
		return NULL;
	unsigned tag = json_tag(key, length);
	uint64_t bit = UINT64_C(1) << tag % 64;
	level->ties = level->ties || (level->seen & bit) != 0;
	level->seen |= bit;
	set_key(node, key, tag);
	at = skip_space(at);
	if (*at != ':')
		return refuse(parser, at, "a colon was expected");
	return skip_space(at + 1);
}

/* How many members before this one have its tag; *ret_same: one of them has its key. */
static size_t count_ties(const json *object, const json *member, bool *ret_same)
{
	size_t ties = 0;
	*ret_same = false;
	for (const json *other = object->child; other != member && !*ret_same; other = other->next)
		if (node_tag(other) == node_tag(member)) {
			ties++;
			*ret_same = same_key(other->string, member->string);
		}
	return ties;
}

/* No two members have the same key. False, too, of an object with many members, or many with the
 * same tag: that is left to json_keys. */
static bool keys_differ(const json *object)
{
	enum { MEMBERS_MAX = 64, TIES_MAX = 8 };
	uint64_t seen = 0;
	size_t members = 0;
	size_t ties = 0;
	for (const json *member = object->child; member != NULL; member = member->next) {
		uint64_t bit = UINT64_C(1) << node_tag(member) % 64;
		bool same = false;
		if (++members > MEMBERS_MAX)
			return false;
		if ((seen & bit) != 0)
			ties += count_ties(object, member, &same);
		if (same || ties > TIES_MAX)
			return false;
		seen |= bit;
	}
	return true;
}

static char *close_container(struct parser *parser, struct level *level, char *at)
{
	if (level->last != NULL)
		level->container->child->prev = level->last; /* as cJSON has it */
	level->container->valueint = tag_bits(level->seen);
	if (level->ties && parser->keys_differ)
		parser->keys_differ = keys_differ(level->container);
	parser->innermost--;
	return at + 1;
}

/* The next child of the innermost container, or that container's end. */
static char *read_child(struct parser *parser, char *at)
{
	struct level *level = parser->innermost;
	at = skip_space(at);
	if (*at == level->end)
		return close_container(parser, level, at);
	if (level->last != NULL) {
		if (*at != ',')
			return refuse(parser, at,
			              level->end == '}' ? "a comma or } was expected"
			                                : "a comma or ] was expected");
		at = skip_space(at + 1);
	}
	json *node = new_node(parser);
	if (node == NULL)
		return NULL;
	if (level->end == '}')
		at = read_key(parser, at, level, node);
	if (at == NULL)
		return NULL;
	add_child(level, node);
	return read_value(parser, at, node);
}

static bool read_root(struct parser *parser, json **ret_root)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	char *at = parser->text;
	if (strncmp(at, byte_order_mark, sizeof byte_order_mark - 1) == 0)
		at += sizeof byte_order_mark - 1;
	json *root = new_node(parser);
	at = root == NULL ? NULL : read_value(parser, skip_space(at), root);
	while (at != NULL && parser->innermost > parser->levels)
		at = read_child(parser, at);
	if (at == NULL)
		return false;
	at = skip_space(at);
	if (at != parser->text + parser->length)
		return refuse(parser, at, "something follows the value") != NULL;
	*ret_root = root;
	return true;
}

static bool set_problem(const struct parser *parser, struct error *error)
{
	if (parser->full)
		return error_set(error, "too large: no memory is left for it");
	size_t at = (size_t)(parser->refused - parser->text);
	if (at >= parser->length)
		return error_set(error, "not JSON: ends at byte %zu in the middle of a value",
		                 parser->length);
	return error_set(error, "not JSON at byte %zu: %s", at,
	                 *parser->refused == '\0' ? "a NUL byte" : parser->problem);
}

static size_t offset(const struct parser *parser, const char *place)
{
	return place == NULL ? SIZE_MAX : (size_t)(place - parser->text);
}

bool json_parse_tree(struct arena *arena, const char *text, size_t length, bool keep_numbers,
                     struct json_parsed *ret_parsed, struct error *error)
{
	struct parser parser;
	json *root;
	parser.arena = arena;
	parser.length = length;
	parser.keep_numbers = keep_numbers;
	parser.full = false;
	parser.keys_differ = true;
	parser.not_utf8 = parser.nul = NULL;
	parser.spare_count = 0;
	parser.innermost = parser.levels;
	parser.text = length > SIZE_MAX / 2 ? NULL : arena_take(arena, length + 2 * WORD_SIZE);
	if (parser.text == NULL)
		return error_set(error, "too large: no memory is left for it");
	memcpy(parser.text, text, length);
	memset(parser.text + length, 0, 2 * WORD_SIZE);
	parser.refused = parser.text;
	parser.problem = "";
	if (!read_root(&parser, &root))
		return set_problem(&parser, error);
	*ret_parsed = (struct json_parsed){
	        .root = root,
	        .not_utf8 = offset(&parser, parser.not_utf8),
	        .nul = offset(&parser, parser.nul),
	        .keys_differ = parser.keys_differ,
	};
	return true;
}
