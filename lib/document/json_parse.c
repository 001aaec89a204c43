#include "lib/document/json_parse.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/utf8.h"
#include "lib/document/json_tree.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "find_special() counts from the low byte");

#define NODES_AT_ONCE 32
#define WORD          sizeof(uint64_t)
#define REPEAT(byte)  (UINT64_C(0x0101010101010101) * (byte))

struct parser {
	struct arena *arena;
	char *text; /* the copy: length bytes and a word of NULs, which are no JSON */
	size_t length;
	char *at;
	bool keep_numbers;
	const char *problem; /* why it is no JSON; NULL: none so far */
	bool full;           /* the arena is */
	char *not_utf8;
	char *nul;
	json *spare; /* zeroed nodes, spare_count of them */
	size_t spare_count;
	bool keys_differ;
	/* The containers that are open, the innermost last. */
	size_t depth;
	json *open[JSON_PARSE_DEPTH_MAX];
};

static bool refuse(struct parser *parser, const char *problem)
{
	parser->problem = problem;
	return false;
}

/* ---- Nodes ---- */

static json *new_node(struct parser *parser)
{
	if (parser->spare_count == 0) {
		parser->spare =
		        arena_allocate(parser->arena, NODES_AT_ONCE * sizeof *parser->spare);
		if (parser->spare == NULL) {
			parser->full = true;
			return NULL;
		}
		parser->spare_count = NODES_AT_ONCE;
	}
	parser->spare_count--;
	return parser->spare++;
}

/* Of a node that may have its key already. */
static inline void set_type(json *node, int type)
{
	node->type |= type;
}

static bool open_container(struct parser *parser, json *node)
{
	if (parser->depth == JSON_PARSE_DEPTH_MAX)
		return refuse(parser, "nested deeper than 1000");
	parser->open[parser->depth] = node;
	parser->depth++;
	return true;
}

/* ---- Strings ---- */

/* A bit at the top of each byte that is zero; those above the lowest one may be wrong. */
static inline uint64_t zero_bytes(uint64_t word)
{
	return (word - REPEAT(0x01)) & ~word & REPEAT(0x80);
}

/* The next byte that is a quote, a backslash, below 0x20 or above 0x7f; the NULs behind the text
 * end the search. */
static inline char *find_special(char *at)
{
	for (;; at += WORD) {
		uint64_t word;
		memcpy(&word, at, WORD);
		uint64_t found = zero_bytes(word ^ REPEAT('"')) | zero_bytes(word ^ REPEAT('\\')) |
		                 ((word - REPEAT(0x20)) & ~word & REPEAT(0x80)) |
		                 (word & REPEAT(0x80));
		if (found != 0)
			return at + (__builtin_ctzll(found) >> 3);
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

/* \uXXXX at parser->at, a pair of them for what is beyond U+FFFF. */
static bool read_unicode_escape(struct parser *parser, char **to)
{
	uint32_t point;
	uint32_t low;
	char *at = parser->at;
	if (!read_hex(at + 2, &point))
		return refuse(parser, "expected four hexadecimal digits");
	at += 6;
	if (point >= 0xdc00 && point <= 0xdfff)
		return refuse(parser, "half of a surrogate pair");
	if (point >= 0xd800 && point <= 0xdbff) {
		if (at[0] != '\\' || at[1] != 'u' || !read_hex(at + 2, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return refuse(parser, "half of a surrogate pair");
		point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
		at += 6;
	}
	if (point == 0 && parser->nul == NULL)
		parser->nul = parser->at;
	*to = write_utf8(*to, point);
	parser->at = at;
	return true;
}

static bool read_escape(struct parser *parser, char **to)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	char letter = parser->at[1];
	if (letter == 'u')
		return read_unicode_escape(parser, to);
	const char *found = letter == '\0' ? NULL : strchr(letters, letter);
	if (found == NULL)
		return refuse(parser, "an escape that is none");
	*(*to)++ = meanings[found - letters];
	parser->at += 2;
	return true;
}

/* Bytes above 0x7f: copied, and looked at. */
static void copy_high_bytes(struct parser *parser, char **to)
{
	char *at = parser->at;
	while ((unsigned char)*at > 0x7f)
		at++;
	size_t length = (size_t)(at - parser->at);
	size_t valid = utf8_valid_prefix(parser->at, length);
	if (valid < length && parser->not_utf8 == NULL)
		parser->not_utf8 = parser->at + valid;
	memmove(*to, parser->at, length);
	*to += length;
	parser->at = at;
}

/* The rest of a string at what is special in it: the bytes move up where escapes were. */
static bool read_special_string(struct parser *parser, char *start, char **ret_string,
                                size_t *ret_length)
{
	char *to = parser->at;
	for (;;) {
		char *special = find_special(parser->at);
		size_t length = (size_t)(special - parser->at);
		if (to != parser->at)
			memmove(to, parser->at, length);
		to += length;
		parser->at = special;
		if (*special == '"')
			break;
		if (*special == '\\') {
			if (!read_escape(parser, &to))
				return false;
		} else if ((unsigned char)*special > 0x7f) {
			copy_high_bytes(parser, &to);
		} else {
			return refuse(parser, "a control character in a string");
		}
	}
	parser->at++;
	*to = '\0';
	*ret_string = start;
	*ret_length = (size_t)(to - start);
	return true;
}

/* At its opening quote. The string stays in its place. */
static inline bool read_string(struct parser *parser, char **ret_string, size_t *ret_length)
{
	char *start = parser->at + 1;
	char *special = find_special(start);
	parser->at = special;
	if (*special != '"')
		return read_special_string(parser, start, ret_string, ret_length);
	*special = '\0';
	parser->at++;
	*ret_string = start;
	*ret_length = (size_t)(special - start);
	return true;
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

static bool read_number(struct parser *parser, json *node)
{
	bool integer;
	char *start = parser->at;
	char *end = number_end(start, &integer);
	if (end == NULL)
		return refuse(parser, "a number that is none");
	double value = number_value(start, end, integer);
	set_type(node, cJSON_Number);
	node->valuedouble = value;
	node->valueint = value >= INT_MAX ? INT_MAX : value <= INT_MIN ? INT_MIN : (int)value;
	parser->at = end;
	if (!parser->keep_numbers)
		return true;
	node->valuestring = arena_copy(parser->arena, start, (size_t)(end - start));
	parser->full = node->valuestring == NULL;
	return !parser->full;
}

static bool read_word(struct parser *parser, json *node)
{
	static const struct {
		const char *text;
		size_t length;
		int type;
	} words[] = {{"true", 4, cJSON_True}, {"false", 5, cJSON_False}, {"null", 4, cJSON_NULL}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (memcmp(parser->at, words[i].text, words[i].length) != 0)
			continue;
		set_type(node, words[i].type);
		node->valueint = words[i].type == cJSON_True;
		parser->at += words[i].length;
		return true;
	}
	return refuse(parser, "a value was expected");
}

/* ---- Values ---- */

static inline void skip_space(struct parser *parser)
{
	char *at = parser->at;
	while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
		at++;
	parser->at = at;
}

/* A value, or the beginning of a container. */
static bool read_value(struct parser *parser, json *node)
{
	size_t length;
	switch (*parser->at) {
	case '{':
	case '[':
		set_type(node, *parser->at == '{' ? cJSON_Object : cJSON_Array);
		if (!open_container(parser, node))
			return false;
		parser->at++;
		return true;
	case '"':
		set_type(node, cJSON_String);
		return read_string(parser, &node->valuestring, &length);
	case 't':
	case 'f':
	case 'n':
		return read_word(parser, node);
	default:
		if (*parser->at != '-' && !ascii_is_digit(*parser->at))
			return refuse(parser, "a value was expected");
		return read_number(parser, node);
	}
}

static bool read_key(struct parser *parser, json *node)
{
	char *key;
	size_t length;
	if (*parser->at != '"')
		return refuse(parser, "a key in quotes was expected");
	if (!read_string(parser, &key, &length))
		return false;
	set_key(node, key, json_tag(key, length));
	skip_space(parser);
	if (*parser->at != ':')
		return refuse(parser, "a colon was expected");
	parser->at++;
	skip_space(parser);
	return true;
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

/* The next child of the innermost container, or that container's end. */
static bool read_child(struct parser *parser)
{
	json *parent = parser->open[parser->depth - 1];
	bool object = is_type(parent, cJSON_Object);
	skip_space(parser);
	if (*parser->at == (object ? '}' : ']')) {
		if (object && parser->keys_differ)
			parser->keys_differ = keys_differ(parent);
		parser->at++;
		parser->depth--;
		return true;
	}
	if (parent->child != NULL) {
		if (*parser->at != ',')
			return refuse(parser, object ? "a comma or } was expected"
			                             : "a comma or ] was expected");
		parser->at++;
		skip_space(parser);
	}
	json *node = new_node(parser);
	if (node == NULL || (object && !read_key(parser, node)))
		return false;
	link_last(parent, node);
	return read_value(parser, node);
}

static bool read_root(struct parser *parser, json **ret_root)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	if (strncmp(parser->at, byte_order_mark, sizeof byte_order_mark - 1) == 0)
		parser->at += sizeof byte_order_mark - 1;
	skip_space(parser);
	json *root = new_node(parser);
	if (root == NULL || !read_value(parser, root))
		return false;
	while (parser->depth > 0)
		if (!read_child(parser))
			return false;
	skip_space(parser);
	if (parser->at != parser->text + parser->length)
		return refuse(parser, "something follows the value");
	*ret_root = root;
	return true;
}

static bool set_problem(const struct parser *parser, struct error *error)
{
	size_t at = (size_t)(parser->at - parser->text);
	if (parser->full)
		return error_set(error, "too large: no memory is left for it");
	if (at >= parser->length)
		return error_set(error, "not JSON: ends at byte %zu in the middle of a value",
		                 parser->length);
	return error_set(error, "not JSON at byte %zu: %s", at,
	                 *parser->at == '\0' ? "a NUL byte" : parser->problem);
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
	parser.problem = NULL;
	parser.full = false;
	parser.keys_differ = true;
	parser.not_utf8 = parser.nul = NULL;
	parser.spare_count = parser.depth = 0;
	parser.text = length > SIZE_MAX / 2 ? NULL : arena_take(arena, length + 2 * WORD);
	if (parser.text == NULL)
		return error_set(error, "too large: no memory is left for it");
	memcpy(parser.text, text, length);
	memset(parser.text + length, 0, 2 * WORD);
	parser.at = parser.text;
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
