/*
 * secret_scanner: the state of redact() while it goes over a text, and what its parts share. Only
 * for the secret_*.c modules and redact.c.
 *
 * The text is rewritten in place: bytes [0, out) are the result, bytes [in, length) are still to be
 * read. Every take_… function looks at what begins at in; if that is a secret, or something that
 * stays with a secret in it, it moves in and out and returns true, else it leaves both alone.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_SECRET_SCANNER_H
#define LASTWORD_LIB_DIAGNOSIS_SECRET_SCANNER_H

#include "lib/diagnosis/redact_pattern.h"
#include "lib/diagnosis/secret_table.h"

#define KEY_MAX      ((size_t)64)
#define VALUE_GLANCE ((size_t)64) /* how much of a value tells what it is */
#define ESCAPES_MAX  ((size_t)8)  /* backslashes before a quote: JSON in JSON in JSON */

/* Where a set of bytes was last found to run to. */
struct run {
	size_t start;
	size_t end;
};

/* What is known of a key and of what stands around it. */
struct key {
	enum key_strength strength;
	bool line_start; /* nothing but indent before it */
	bool quoted;
	bool path;    /* the name of a file, as in "/run/secrets/db_password: " */
	bool query;   /* a parameter of a URL */
	bool is_pwd;  /* PWD or OLDPWD: the shell's, where it is a folder */
	bool is_name; /* "name" or "key": its value is the key of the "value" that comes next */
	bool is_value;
};

struct secret_scanner {
	const struct redact_patterns *patterns;
	char *text;
	size_t length;
	size_t in;
	size_t out;
	struct run sets[SECRET_SETS_MAX];
	struct run elements[REDACT_PATTERNS_MAX][REDACT_ELEMENTS_MAX];
	bool boundary;    /* no letter or digit right before in */
	struct key named; /* what a "name" said of the "value" that comes next */
	const struct secret_program *program; /* the command whose options may follow; or NULL */
	bool user_option;                     /* a -u was on this line */
	size_t aws_key;                       /* 1 + where in the result one ended; 0: none */
	size_t redactions;                    /* secrets replaced */
	uint64_t work;                        /* bytes looked at */
};

/* --- secret_scanner.c --- */

bool scanner_text_at(const struct secret_scanner *s, size_t at, const char *what);

/* Copies count bytes to the result. */
void scanner_copy(struct secret_scanner *s, size_t count);

/* Puts the mark of a kind (may be NULL) in the place of everything up to end. */
void scanner_replace(struct secret_scanner *s, size_t end, const char *kind);

/* The end of the run of a set's bytes at from. Every byte is looked at once for each set. */
size_t scanner_set_end(struct secret_scanner *s, unsigned set, size_t from);

/* The value at from is quoted: behind its quote. Else from, and no quote. */
size_t scanner_unquote(const struct secret_scanner *s, size_t from, char *ret_quote,
                       bool *ret_escaped);

/* The end of a quoted value: its closing quote, the line's end, or the text's. */
size_t scanner_quoted_end(struct secret_scanner *s, size_t from, char quote, bool escaped);

/* Letters and digits over 12 bytes and more: words of prose have not both. */
bool looks_random(const struct secret_scanner *s, size_t from, size_t end);

/* Random beyond doubt: of three kinds of letters, or long hex, or long and ever changing. */
bool is_random(const struct secret_scanner *s, size_t from, size_t end, size_t least);

/* A variable or a placeholder stands there, whole, and not a value. */
bool is_placeholder(const struct secret_scanner *s, size_t from);

/* A value that gives nothing away. */
bool is_harmless(const struct secret_scanner *s, size_t from, size_t end);

/* --- The kinds of secrets --- */

bool take_pattern(struct secret_scanner *s); /* secret_pattern.c: patterns of one's own */
bool take_token(struct secret_scanner *s);   /* secret_token.c */
bool take_scheme(struct secret_scanner *s);  /* "Bearer xyz", "password is xyz" */
bool take_key_block(struct secret_scanner *s);
bool take_url(struct secret_scanner *s);
bool take_easy_connect(struct secret_scanner *s);  /* at an @ */
bool take_value(struct secret_scanner *s);         /* secret_value.c: at =, :, %3D behind a key */
bool take_element(struct secret_scanner *s);       /* at > behind an XML tag's name */
bool take_flag(struct secret_scanner *s);          /* secret_option.c: "--password x" */
bool take_user_password(struct secret_scanner *s); /* "-p x" behind "-u name" */
bool take_program(struct secret_scanner *s);       /* "mysql"; remembers it */
bool take_option(struct secret_scanner *s);        /* "-px" behind mysql */

/* What a name says of its value, from text[from..end): letters, digits, _ - and dots. */
void key_look_up(const struct secret_scanner *s, size_t from, size_t end, struct key *key);

/* Drops the rest of what began before the text: secret_cut.c. */
void drop_cut_start(struct secret_scanner *s);

#endif
