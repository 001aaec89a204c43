/*
 * generate_secrets: compiles secrets.rules, which explains its form, into C tables while lastword
 * is built; a program of the building machine. The examples are checked with redact() itself.
 *
 *   generate_secrets secrets.rules > secret_tables.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/redact.h"
#include "lib/diagnosis/secret_table.h"

#define ROWS_MAX   512
#define BYTES_MAX  32768
#define STRING_MAX 512

struct example {
	unsigned line;
	char positive[STRING_MAX];
	char negative[STRING_MAX];
};

static struct secret_token tokens[256];
static size_t token_count;
static uint16_t token_index[129];
static uint8_t token_rows[4096];
static unsigned char forms[BYTES_MAX];
static size_t form_length;
static uint32_t sets[SECRET_SETS_MAX][8];
static size_t set_count;
static const char *names[256];
static size_t name_count;
static struct secret_key keys[ROWS_MAX];
static size_t key_count;
static uint16_t key_index[27];
static struct secret_program programs[ROWS_MAX];
static size_t program_count;
static uint16_t program_index[129];
static struct secret_option options[ROWS_MAX];
static size_t option_count;
static char texts[BYTES_MAX];
static size_t text_length;
static struct example examples[2 * ROWS_MAX];
static size_t example_count;

const struct secret_table secrets_builtin = {
        .tokens = tokens,
        .token_index = token_index,
        .token_rows = token_rows,
        .forms = forms,
        .sets = (const uint32_t (*)[8])sets,
        .names = names,
        .keys = keys,
        .key_index = key_index,
        .programs = programs,
        .program_index = program_index,
        .options = options,
        .texts = texts,
};

static unsigned line_number;

static void fail(const char *message)
{
	fprintf(stderr, "secrets.rules:%u: %s\n", line_number, message);
	exit(1);
}

/* --- Reading --- */

static void read_word(const char **at, char *out, size_t size)
{
	*at += strspn(*at, " ");
	size_t length = strcspn(*at, " \"");
	if (length == 0 || length >= size)
		fail("expected a word");
	memcpy(out, *at, length);
	out[length] = '\0';
	*at += length;
}

/* A string in double quotes; false: there is none. Only \" is taken apart. */
static bool read_string(const char **at, char *out, size_t size)
{
	const char *c = *at + strspn(*at, " ");
	size_t used = 0;
	if (*c != '"')
		return false;
	for (c++; *c != '"'; c++) {
		if (*c == '\\' && c[1] == '"')
			c++;
		if (*c == '\0' || used + 1 >= size)
			fail("a string that is too long or not closed");
		out[used++] = *c;
	}
	out[used] = '\0';
	*at = c + 1;
	return true;
}

static void need_string(const char **at, char *out, size_t size)
{
	if (!read_string(at, out, size))
		fail("expected a string in double quotes");
}

static unsigned find(const char *const words[], size_t count, const char *word)
{
	for (unsigned i = 0; i < count; i++)
		if (words[i] != NULL && strcmp(words[i], word) == 0)
			return i;
	fail("a word that is unknown here");
	return 0;
}

static uint16_t add_text(const char *text)
{
	size_t length = strlen(text);
	if (text_length + length > sizeof texts)
		fail("too many texts");
	memcpy(texts + text_length, text, length);
	text_length += length;
	return (uint16_t)(text_length - length);
}

/* --- Forms --- */

static void put_form(unsigned char byte)
{
	if (form_length == sizeof forms)
		fail("too many forms");
	forms[form_length++] = byte;
}

static const char *parse_set(const char *c, uint32_t set[8])
{
	bool negated = *c == '^';
	for (c += negated; *c != ']'; c++) {
		if (*c == '\\')
			c++;
		unsigned low = (unsigned char)*c;
		unsigned high = low;
		if (c[0] != '\0' && c[1] == '-' && c[2] != ']') {
			c += 2;
			high = (unsigned char)*c;
		}
		if (*c == '\0' || high < low)
			fail("a class that is not closed, or a range backwards");
		for (unsigned byte = low; byte <= high; byte++)
			set[byte / 32] |= UINT32_C(1) << (byte % 32);
	}
	for (size_t i = 0; negated && i < 8; i++)
		set[i] = ~set[i];
	if (negated)
		set[0] &= ~(UINT32_C(1) << '\n' | UINT32_C(1) << '\r' | 1);
	return c + 1;
}

static unsigned add_set(const uint32_t set[8])
{
	for (unsigned i = 0; i < set_count; i++)
		if (memcmp(sets[i], set, sizeof sets[i]) == 0)
			return i;
	if (set_count == SECRET_SETS_MAX)
		fail("too many classes");
	memcpy(sets[set_count], set, sizeof sets[set_count]);
	return (unsigned)set_count++;
}

static const char *parse_class(const char *c)
{
	uint32_t set[8] = {0};
	unsigned least = 1;
	unsigned most = 1;
	int skip = 0;
	c = parse_set(c + 1, set);
	if (*c == '+') {
		most = 0;
		c++;
	} else if (sscanf(c, "{%u,%u}%n", &least, &most, &skip) == 2 && skip > 0) {
		c += skip;
	} else if (sscanf(c, "{%u}%n", &least, &skip) == 1 && skip > 0) {
		most = 0;
		c += skip;
	}
	if (least > 255 || most > 255)
		fail("at most 255 of a class");
	put_form((unsigned char)(FORM_SET + add_set(set)));
	put_form((unsigned char)least);
	put_form((unsigned char)most);
	return c;
}

/* Returns the length of what it made. */
static uint8_t add_form(const char *form)
{
	size_t start = form_length;
	size_t literal = 0;
	for (const char *c = form; *c != '\0';) {
		if (*c == '[') {
			c = parse_class(c);
			literal = 0;
			continue;
		}
		if (*c == '\\')
			c++;
		if (literal == 0) {
			literal = form_length;
			put_form(0);
		}
		put_form((unsigned char)*c++);
		forms[literal]++;
		if (forms[literal] >= FORM_SET)
			fail("a literal that is too long");
	}
	return (uint8_t)(form_length - start);
}

/* --- Rows --- */

static uint8_t add_name(const char *name)
{
	for (size_t i = 0; i < name_count; i++)
		if (strcmp(names[i], name) == 0)
			return (uint8_t)i;
	names[name_count] = strdup(name);
	return (uint8_t)name_count++;
}

/* Finds a literal byte of the form that is always as far from its first one. */
static void set_probe(struct secret_token *token)
{
	const unsigned char *form = forms + token->form;
	size_t length = token->context_length + token->form_length;
	size_t at = 0;
	for (size_t i = 0; i < length;) {
		if (form[i] < FORM_SET) {
			size_t skip = at == 0 && form[i] > 1;
			if (at + skip == 0) {
				at += form[i];
				i += 1U + form[i];
				continue;
			}
			token->probe_at = (uint8_t)(at + skip);
			token->probe = (char)form[i + 1 + skip];
			return;
		}
		if (form[i + 1] != form[i + 2])
			return;
		at += form[i + 1];
		i += 3;
	}
}

static void add_token(const char **at)
{
	char name[40];
	char first[STRING_MAX];
	char second[STRING_MAX];
	struct secret_token *token = &tokens[token_count++];
	if (token_count >= 255)
		fail("too many tokens");
	read_word(at, name, sizeof name);
	need_string(at, first, sizeof first);
	token->name = add_name(name);
	token->form = (uint16_t)form_length;
	if (read_string(at, second, sizeof second)) {
		token->context_length = add_form(first);
		token->form_length = add_form(second);
	} else {
		token->form_length = add_form(first);
	}
	set_probe(token);
}

static void add_key(const char **at)
{
	static const char *const strengths[] = {NULL,     "random", "weak", "assigned",
	                                        "strong", "line",   "never"};
	static const char *const wheres[] = {"suffix", "word", "part", "whole", "query"};
	char word[40];
	char text[STRING_MAX];
	struct secret_key *key = &keys[key_count++];
	if (key_count == ROWS_MAX)
		fail("too many keys");
	read_word(at, word, sizeof word);
	key->strength = (uint8_t)find(strengths, 7, word);
	read_word(at, word, sizeof word);
	key->where = (uint8_t)find(wheres, 5, word);
	need_string(at, text, sizeof text);
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(text) ||
	    text[0] == '\0' || !ascii_is_lower(text[strlen(text) - 1]))
		fail("a key is of small letters and digits, and ends in a letter");
	key->text = add_text(text);
	key->length = (uint8_t)strlen(text);
}

static void add_option(const char **at)
{
	static const char *const hows[] = {"next",    "attached", "both",  "pair",  "slash",
	                                   "percent", "pass",     "third", "fourth"};
	char program[STRING_MAX];
	char option[STRING_MAX];
	char word[40];
	need_string(at, program, sizeof program);
	need_string(at, option, sizeof option);
	read_word(at, word, sizeof word);
	struct secret_program *last = program_count > 0 ? &programs[program_count - 1] : NULL;
	if (last == NULL || last->length != strlen(program) ||
	    memcmp(texts + last->text, program, last->length) != 0) {
		if (program_count == ROWS_MAX)
			fail("too many programs");
		last = &programs[program_count++];
		*last = (struct secret_program){.text = add_text(program),
		                                .length = (uint8_t)strlen(program),
		                                .first_option = (uint16_t)option_count};
	}
	if (option_count == ROWS_MAX)
		fail("too many options");
	last->option_count++;
	options[option_count++] = (struct secret_option){.text = add_text(option),
	                                                 .length = (uint8_t)strlen(option),
	                                                 .how = (uint8_t)find(hows, 9, word)};
}

static void add_examples(const char **at)
{
	struct example *example = &examples[example_count++];
	example->line = line_number;
	*at += strspn(*at, " ");
	if (**at != '+')
		fail("expected + \"a text with a <<secret>>\" - \"a text that stays\"");
	(*at)++;
	need_string(at, example->positive, sizeof example->positive);
	*at += strspn(*at, " ");
	if (**at != '-')
		fail("expected - \"a text that stays\"");
	(*at)++;
	need_string(at, example->negative, sizeof example->negative);
	if ((*at)[strspn(*at, " ")] != '\0')
		fail("nothing is expected behind the examples");
}

static void read_file(const char *path)
{
	char line[2048];
	FILE *file = fopen(path, "r");
	if (file == NULL)
		fail("cannot be read");
	while (fgets(line, sizeof line, file) != NULL) {
		char kind[16];
		const char *at = line;
		line_number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		read_word(&at, kind, sizeof kind);
		if (strcmp(kind, "token") == 0)
			add_token(&at);
		else if (strcmp(kind, "key") == 0)
			add_key(&at);
		else if (strcmp(kind, "option") == 0)
			add_option(&at);
		else
			fail("expected token, key or option");
		add_examples(&at);
	}
	fclose(file);
}

/* --- Indexes --- */

static bool may_begin(const struct secret_token *token, unsigned byte)
{
	const unsigned char *form = forms + token->form;
	if (form[0] < FORM_SET)
		return form[1] == byte;
	return (sets[form[0] & 0x7f][byte / 32] >> (byte % 32) & 1) != 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct secret_key *one = a;
	const struct secret_key *other = b;
	return texts[one->text + one->length - 1] - texts[other->text + other->length - 1];
}

static int compare_programs(const void *a, const void *b)
{
	const struct secret_program *one = a;
	const struct secret_program *other = b;
	return texts[one->text] - texts[other->text];
}

static void make_indexes(void)
{
	size_t rows = 0;
	for (unsigned byte = 0; byte < 128; byte++) {
		token_index[byte] = (uint16_t)rows;
		for (size_t i = 0; i < token_count && ascii_is_alnum((char)byte); i++)
			if (may_begin(&tokens[i], byte))
				token_rows[rows++] = (uint8_t)i;
	}
	token_index[128] = (uint16_t)rows;
	qsort(keys, key_count, sizeof keys[0], compare_keys);
	for (size_t letter = 0, i = 0; letter <= 26; letter++) {
		while (i < key_count &&
		       texts[keys[i].text + keys[i].length - 1] < 'a' + (int)letter)
			i++;
		key_index[letter] = (uint16_t)i;
	}
	qsort(programs, program_count, sizeof programs[0], compare_programs);
	for (size_t byte = 0, i = 0; byte <= 128; byte++) {
		while (i < program_count && (size_t)texts[programs[i].text] < byte)
			i++;
		program_index[byte] = (uint16_t)i;
	}
}

/* --- Examples --- */

/* Without ~ and the marks of the secret; \~ is a ~. wanted has no secret. */
static void prepare(const char *example, char *text, char *before, char *after)
{
	char *out = before;
	size_t used = 0;
	for (const char *c = example; *c != '\0'; c++) {
		if (*c == '~')
			continue;
		if (*c == '\\' && c[1] == '~')
			c++;
		if (strncmp(c, "<<", 2) == 0 || strncmp(c, ">>", 2) == 0) {
			if (out != NULL)
				*out = '\0';
			out = *c == '<' ? NULL : after;
			c++;
			continue;
		}
		text[used++] = *c;
		if (out != NULL)
			*out++ = *c;
	}
	text[used] = '\0';
	if (out != NULL)
		*out = '\0';
}

static bool stays(const char *example)
{
	char text[STRING_MAX];
	char before[STRING_MAX] = "";
	char after[STRING_MAX] = "";
	prepare(example, text, before, after);
	size_t length = redact(NULL, false, text, strlen(text), NULL);
	text[length] = '\0';
	if (strcmp(text, before) == 0)
		return true;
	fprintf(stderr, "became: %s\n", text);
	return false;
}

static bool is_redacted(const char *example)
{
	char text[STRING_MAX];
	char before[STRING_MAX] = "";
	char after[STRING_MAX] = "";
	prepare(example, text, before, after);
	size_t length = redact(NULL, false, text, strlen(text), NULL);
	text[length] = '\0';
	size_t head = strlen(before);
	size_t tail = strlen(after);
	const char *mark = text + head;
	if (length > head + tail && strncmp(text, before, head) == 0 &&
	    strcmp(text + length - tail, after) == 0 &&
	    (strncmp(mark, "[redacted", 9) == 0 || strncmp(mark, "***", 3) == 0) &&
	    memchr(mark, ' ', length - head - tail) == NULL)
		return true;
	fprintf(stderr, "became: %s\n", text);
	return false;
}

static unsigned check_examples(void)
{
	unsigned wrong = 0;
	for (size_t i = 0; i < example_count; i++) {
		const struct example *example = &examples[i];
		if (example->positive[0] != '\0' && !is_redacted(example->positive)) {
			fprintf(stderr, "secrets.rules:%u: not redacted: %s\n", example->line,
			        example->positive);
			wrong++;
		}
		if (!stays(example->negative)) {
			fprintf(stderr, "secrets.rules:%u: does not stay: %s\n", example->line,
			        example->negative);
			wrong++;
		}
	}
	return wrong;
}

/* --- Writing --- */

static void write_numbers(const char *type, const char *name, const uint16_t *numbers, size_t count)
{
	printf("static const %s %s[] = {", type, name);
	for (size_t i = 0; i < count; i++)
		printf("%s%u,", i % 20 == 0 ? "\n\t" : " ", numbers[i]);
	puts("\n};\n");
}

static void write_rows(void)
{
	puts("static const struct secret_token tokens[] = {");
	for (size_t i = 0; i < token_count; i++)
		printf("\t{%u, %u, %u, %u, %u, %d},\n", tokens[i].form, tokens[i].context_length,
		       tokens[i].form_length, tokens[i].name, tokens[i].probe_at, tokens[i].probe);
	puts("};\n\nstatic const struct secret_key keys[] = {");
	for (size_t i = 0; i < key_count; i++)
		printf("\t{%u, %u, %u, %u},\n", keys[i].text, keys[i].length, keys[i].strength,
		       keys[i].where);
	puts("};\n\nstatic const struct secret_program programs[] = {");
	for (size_t i = 0; i < program_count; i++)
		printf("\t{%u, %u, %u, %u},\n", programs[i].text, programs[i].length,
		       programs[i].option_count, programs[i].first_option);
	puts("};\n\nstatic const struct secret_option options[] = {");
	for (size_t i = 0; i < option_count; i++)
		printf("\t{%u, %u, %u},\n", options[i].text, options[i].length, options[i].how);
	puts("};\n");
}

static void write_tables(void)
{
	puts("/* Made by lib/diagnosis/rules/generate_secrets.c from secrets.rules. */\n"
	     "#include \"lib/diagnosis/secret_table.h\"\n");
	write_rows();
	write_numbers("uint16_t", "token_index", token_index, 129);
	write_numbers("uint16_t", "key_index", key_index, 27);
	write_numbers("uint16_t", "program_index", program_index, 129);
	puts("static const uint8_t token_rows[] = {");
	for (size_t i = 0; i < token_index[128]; i++)
		printf("%u,%s", token_rows[i], i % 20 == 19 ? "\n" : "");
	puts("};\n\nstatic const unsigned char forms[] = {");
	for (size_t i = 0; i < form_length; i++)
		printf("%u,%s", forms[i], i % 20 == 19 ? "\n" : "");
	puts("};\n\nstatic const char texts[] = {");
	for (size_t i = 0; i < text_length; i++)
		printf("'\\x%02x',%s", (unsigned char)texts[i], i % 16 == 15 ? "\n" : "");
	puts("};\n\nstatic const uint32_t sets[][8] = {");
	for (size_t i = 0; i < set_count; i++) {
		printf("\t{");
		for (size_t j = 0; j < 8; j++)
			printf("0x%08X,", (unsigned)sets[i][j]);
		puts("},");
	}
	puts("};\n\nstatic const char *const names[] = {");
	for (size_t i = 0; i < name_count; i++)
		printf("\t\"%s\",\n", names[i]);
	puts("};\n\nconst struct secret_table secrets_builtin = {\n"
	     "\ttokens, token_index, token_rows, forms, sets, names,\n"
	     "\tkeys, key_index, programs, program_index, options, texts,\n};");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: generate_secrets secrets.rules\n", stderr);
		return 2;
	}
	read_file(argv[1]);
	make_indexes();
	if (check_examples() > 0)
		return 1;
	write_tables();
	return 0;
}
