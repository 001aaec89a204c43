/*
 * rule: what a line of a log means. One rule is one line of text, the same in the files under
 * lib/diagnosis/rules/ (compiled into tables when lastword is built) and in a configuration's
 * diagnosis.rules (read when the watchdog starts):
 *
 *   PLACE WEIGHT DETAIL TAKE "PATTERN"
 *
 * PLACE   where in the line the pattern may stand: any; word (no letter or digit beside it); start
 *         (of the line, or of its message behind time, level and logger); end; line (both).
 * WEIGHT  how much the line tells of why the program failed, 0 to 99; the highest match counts.
 *         From 40 on it can be the statement (snippet.h). "70!": also of a line whose own
 *         level is information or warning. "max15": a line that has this weighs at most 15.
 *         "frame": a line of a stack trace, which is never the statement.
 * DETAIL  what went wrong, a word of lib/diagnosis/rules/causes.rules, which has its cause; or -.
 *         Of several that a line has, the first in that file counts; with "max15" this one does.
 * TAKE    what of the line is the statement: line; from (from the pattern on); after (what is
 *         behind the pattern); next (a heading: the next line that is not empty weighs as much).
 * PATTERN bytes, of which at least four in a row at its start are literal. # is one or more digits,
 *         * is any text up to the next literal, 120 bytes at most. \ before # * " \ makes them
 *         literal. A pattern without capital letters matches letters of either case.
 *
 * In the files two examples follow, which the build checks: + "a line that matches" and
 * - "a line that does not".
 *
 * Thread safety: pure.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_RULE_H
#define LASTWORD_LIB_DIAGNOSIS_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define RULE_PATTERN_MAX 96 /* bytes of a pattern */
#define RULE_ANCHOR      4  /* bytes of a pattern that the matcher finds it by */
#define RULE_GAP_MAX     ((size_t)120)
#define RULE_LINE_MAX    ((size_t)400) /* bytes of a rule of one's own */

/* Wildcards as they stand in a compiled pattern. */
#define RULE_DIGITS '\1'
#define RULE_GAP    '\2'

enum rule_place { RULE_ANYWHERE, RULE_WORD, RULE_START, RULE_END, RULE_LINE };
enum rule_kind { RULE_WEIGHT, RULE_CEILING, RULE_FRAME };
enum rule_take { RULE_TAKE_LINE, RULE_TAKE_FROM, RULE_TAKE_AFTER, RULE_TAKE_NEXT };

struct diagnosis_rule {
	uint16_t text;  /* where its pattern begins among all patterns' bytes */
	uint16_t next;  /* 1 + the number of the next rule with this anchor's hash; 0: none */
	uint16_t tag;   /* more bits of that hash */
	uint8_t length; /* of the pattern */
	uint8_t anchor; /* where in the pattern its four anchor bytes are */
	/* Packed, since there are about 800 in the program that runs in the pod. */
	uint8_t weight : 7;  /* or ceiling */
	uint8_t insists : 1; /* the line's own level does not lower the weight */
	uint8_t detail : 6;  /* number of the detail; 0: none */
	uint8_t kind : 2;
	uint8_t place : 3;
	uint8_t take : 2;
	uint8_t exact : 1; /* capital letters matter */
};

struct rule_detail {
	const char *name;
	uint8_t cause; /* enum cause */
};

/* A rule as it was read: its pattern is not yet among the others'. */
struct rule_source {
	struct diagnosis_rule rule;
	char pattern[RULE_PATTERN_MAX];
	char detail[32]; /* "" for none */
};

/*
 * Reads the rule at text, up to the pattern's closing quote; *ret_rest (may be NULL) is what is
 * behind it. error says what is wrong.
 */
bool rule_parse(const char *text, struct rule_source *ret_source, const char **ret_rest,
                struct error *error);

/*
 * Reads a string in double quotes at *text, into out of size bytes with its NUL; *text moves behind
 * it. With wildcards, # and * become RULE_DIGITS and RULE_GAP.
 */
bool rule_parse_string(const char **text, char *out, size_t size, bool wildcards,
                       struct error *error);

/* Where the match of pattern at text[at] ends; SIZE_MAX: it does not match there. */
size_t rule_match(const struct diagnosis_rule *rule, const char *pattern, const char *text,
                  size_t length, size_t at);

#endif
