/*
 * weigh: how much one line of a log tells of why the program failed: by the rules it matches, by
 * its level and by its form. What the lines around it mean is the business of snippet.c.
 *
 * Pure, no heap, linear.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_WEIGH_H
#define LASTWORD_LIB_DIAGNOSIS_WEIGH_H

#include "lib/diagnosis/log_line.h"
#include "lib/diagnosis/rule_set.h"

/* From this weight on a line says what was wrong; below it, it may at most hint. */
#define WEIGHT_STATEMENT 40U
#define WEIGHT_HINT      20U
/* From this weight on it is fatal by its own word. */
#define WEIGHT_FATAL 80U
/* From this weight on it is an exception, a panic, an abort. */
#define WEIGHT_EXCEPTION 85U

struct line_weight {
	unsigned weight;
	unsigned ceiling;
	bool frame; /* of a stack trace: never the statement */
	uint8_t detail;
	unsigned rule;
	unsigned detail_rule;
	enum rule_take take;
	size_t at; /* where the rule matched, or the message begins */
	size_t end;
};

void weigh_line(const struct own_rules *own, const struct log_line *line,
                struct line_weight *ret_weight);

/*
 * Gives the line that has no detail that of the HTTP status in it (http_status.h): it means what
 * the rules say of "status code 503", whatever the line's words are. For lines that may be shown;
 * most are not.
 */
void weigh_status(const struct log_line *line, struct line_weight *weight);

#endif
