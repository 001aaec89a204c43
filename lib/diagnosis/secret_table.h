/*
 * secret_table: what secrets look like, compiled from lib/diagnosis/rules/secrets.rules (which
 * explains every word) by lib/diagnosis/rules/generate_secrets.c when lastword is built.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_SECRET_TABLE_H
#define LASTWORD_LIB_DIAGNOSIS_SECRET_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define SECRET_SETS_MAX 40

/*
 * A form is a row of elements, byte by byte: the length of a literal (1 to 127) and its bytes, or
 * 0x80 + the number of a set, how many of its bytes at least, and at most (0: as many as there
 * are).
 */
#define FORM_SET 0x80

struct secret_token {
	uint16_t form;          /* where it begins in forms, its context first */
	uint8_t context_length; /* bytes of the context's elements; 0: it has none */
	uint8_t form_length;    /* of the secret's elements */
	uint8_t name;
	uint8_t probe_at; /* a byte that must be there, this far from the first; 0: none known */
	char probe;
};

enum key_strength { KEY_NONE, KEY_RANDOM, KEY_WEAK, KEY_ASSIGNED, KEY_STRONG, KEY_LINE, KEY_NEVER };

enum key_where { KEY_SUFFIX, KEY_WORD, KEY_PART, KEY_WHOLE, KEY_QUERY };

struct secret_key {
	uint16_t text; /* its name in texts */
	uint8_t length;
	uint8_t strength;
	uint8_t where;
};

enum option_how {
	OPTION_NEXT,
	OPTION_ATTACHED,
	OPTION_BOTH,
	OPTION_PAIR,
	OPTION_SLASH,
	OPTION_PERCENT,
	OPTION_PASS,
	OPTION_THIRD,
	OPTION_FOURTH
};

struct secret_option {
	uint16_t text;
	uint8_t length; /* 0: the words behind the program itself */
	uint8_t how;
};

struct secret_program {
	uint16_t text;
	uint8_t length;
	uint8_t option_count;
	uint16_t first_option;
};

struct secret_table {
	const struct secret_token *tokens;
	const uint16_t *token_index; /* 129: where each first byte's rows begin in token_rows */
	const uint8_t *token_rows;
	const unsigned char *forms;
	const uint32_t (*sets)[8]; /* the bytes of each set, a bit each */
	const char *const *names;
	const struct secret_key *keys;         /* by their last letters */
	const uint16_t *key_index;             /* 27: where the keys of each last letter begin */
	const struct secret_program *programs; /* by their first bytes */
	const uint16_t *program_index;         /* 129 */
	const struct secret_option *options;
	const char *texts;
};

extern const struct secret_table secrets_builtin;

#endif
