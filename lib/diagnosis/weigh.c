#include "lib/diagnosis/weigh.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/http_status.h"

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The text begins with the name of an exception: "ValueError: …", "java.lang.Error". */
static bool names_exception(const char *text)
{
	static const char *const ends[] = {"Error", "Exception", "Interrupt",
	                                   "Exit",  "Failure",   "Rejection"};
	size_t length = 0;
	while (ascii_is_alnum(text[length]) || text[length] == '_' || text[length] == '.' ||
	       text[length] == '$' || (text[length] == ':' && text[length + 1] == ':') ||
	       (length > 0 && text[length] == ':' && text[length - 1] == ':' &&
	        ascii_is_letter(text[length + 1])))
		length++;
	if (text[length] != ':' && text[length] != '\0' && !starts_with(text + length, " [") &&
	    !starts_with(text + length, " ("))
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t end = strlen(ends[i]);
		if (length > end && memcmp(text + length - end, ends[i], end) == 0)
			return true;
	}
	/* "Error: …" of JavaScript */
	return length == 5 && starts_with(text, "Error: ");
}

/* Ruby names the exception at the end: "… undefined method 'x' for nil (NoMethodError)" */
static bool ends_with_exception(const struct log_line *line)
{
	const char *open = memrchr(line->text, '(', line->length);
	if (open == NULL || line->length < 8 || strcmp(line->text + line->length - 1, ")") != 0)
		return false;
	size_t word = line->length - (size_t)(open - line->text) - 2;
	if (word < 6 || !ascii_is_upper(open[1]))
		return false;
	for (size_t i = 1; i <= word; i++)
		if (!ascii_is_alnum(open[i]) && open[i] != ':')
			return false;
	return memcmp(open + 1 + word - 5, "Error", 5) == 0;
}

/* Rust's "7: core::panicking::panic", "7: <T as X>::call", "7: 0x55914f9eccd2 - main" */
static bool is_numbered_frame(const char *text)
{
	size_t digits = ascii_count_digits(text);
	if (digits == 0 || !starts_with(text + digits, ": "))
		return false;
	text += digits + 1;
	text += ascii_count_spaces(text);
	const char *path = strpbrk(text, ": ");
	return text[0] == '<' || starts_with(text, "0x") ||
	       (path != NULL && starts_with(path, "::"));
}

/* A line of a source file with its number: "12 | use x;", "12 >     raise" */
static bool is_source_line(const char *text)
{
	size_t digits = ascii_count_digits(text);
	const char *rest = text + digits + ascii_count_spaces(text + digits);
	return digits > 0 && digits < 6 && (rest[0] == '|' || starts_with(rest, "\xE2\x94\x82"));
}

/* What a shell under -x or an agent's transcript says it runs: "+ make", "$ make". */
static bool is_command(const struct log_line *line)
{
	const char *text = line->text;
	size_t plus = 0;
	while (text[plus] == '+')
		plus++;
	return (plus > 0 && text[plus] == ' ' && line->indent == 0) || starts_with(text, "$ ");
}

/* What grep prints of a file: "src/main.go:12:<tab>fmt.Println". A compiler goes on with a column
 * or a space. */
static bool is_grep_hit(const char *text)
{
	size_t name = 0;
	while (ascii_is_alnum(text[name]) || text[name] == '_' || text[name] == '.' ||
	       text[name] == '/' || text[name] == '-')
		name++;
	if (name < 3 || text[name] != ':' || memchr(text, '.', name) == NULL)
		return false;
	size_t digits = ascii_count_digits(text + name + 1);
	const char *rest = text + name + 1 + digits;
	if (digits == 0 || rest[0] != ':')
		return false;
	return rest[1] != '\0' && !ascii_is_digit(rest[1]) && !starts_with(rest, ":in ") &&
	       (rest[1] != ' ' || rest[2] == ' ');
}

static bool is_ruler(const struct log_line *line)
{
	size_t count = 0;
	while (count < line->length && line->text[count] == line->text[0])
		count++;
	return line->length <= 2 || count == line->length;
}

static bool is_frame(const struct log_line *line)
{
	const char *text = line->text;
	/* Go: "	/usr/src/app/main.go:12 +0x1d"; Zig: "/src/main.zig:12:9: 0x8336862 in main"
	 */
	if (text[0] == '/' && ((line->indent > 0 && strstr(text, " +0x") != NULL) ||
	                       (strstr(text, ": 0x") != NULL && strstr(text, " in ") != NULL)))
		return true;
	if (starts_with(text, "at ") || text[0] == '^' || starts_with(text, "~~~") ||
	    starts_with(text, "+-"))
		return true;
	/* Ruby: "from /app/bin/agent:9:in '<main>'", "/gems/pg.rb:12:in `connect'" */
	const char *in = starts_with(text, "from ") || text[0] == '/' ? strstr(text, ":in ") : NULL;
	if (in != NULL && (in[4] == '`' || in[4] == '\'') &&
	    (text[line->length - 1] == '\'' || starts_with(text, "from ")))
		return true;
	return (line->indent > 0 && is_numbered_frame(text)) || is_source_line(text) ||
	       is_ruler(line);
}

/* What the line's own level makes of it. */
static void weigh_level(const struct log_line *line, struct line_weight *weight)
{
	static const struct {
		unsigned char weight;
		unsigned char ceiling;
	} levels[] = {
	        [LOG_LEVEL_NONE] = {0, RULE_UNLIMITED},
	        [LOG_LEVEL_DEBUG] = {5, 10},
	        [LOG_LEVEL_INFO] = {10, 15},
	        [LOG_LEVEL_WARNING] = {30, 34},
	        [LOG_LEVEL_ERROR] = {71, RULE_UNLIMITED},
	        [LOG_LEVEL_FATAL] = {81, RULE_UNLIMITED},
	};
	if (levels[line->level].weight > weight->weight) {
		weight->weight = levels[line->level].weight;
		weight->take = RULE_TAKE_LINE;
		if (weight->rule != RULE_NONE && weight->detail_rule == RULE_NONE)
			weight->rule = RULE_NONE;
	}
	if (line->says_error && line->level == LOG_LEVEL_NONE && weight->weight < 72)
		weight->weight = 72;
	if (levels[line->level].ceiling < weight->ceiling)
		weight->ceiling = levels[line->level].ceiling;
	if ((line->transcript || is_command(line)) && weight->ceiling > 15)
		weight->ceiling = 15;
	if (!line->json && is_grep_hit(line->text) && weight->ceiling > 30)
		weight->ceiling = 30;
}

void weigh_line(const struct own_rules *own, const struct log_line *line,
                struct line_weight *ret_weight)
{
	struct rule_findings found;
	const struct rule_text text = {line->text, line->folded, line->length, line->message};
	rules_find(&rules_builtin, own, &text, &found, NULL);
	struct line_weight weight = {
	        .weight = found.weight,
	        .ceiling = found.ceiling,
	        .frame = found.frame || is_frame(line),
	        .detail = found.detail,
	        .rule = found.rule,
	        .detail_rule = found.detail_rule,
	        .take = found.take,
	        .at = found.rule != RULE_NONE ? found.at : line->message,
	        .end = found.rule != RULE_NONE ? found.end : line->message,
	};
	const char *message = line->text + line->message;
	if (weight.weight < WEIGHT_EXCEPTION &&
	    (names_exception(message) || ends_with_exception(line))) {
		weight.weight = WEIGHT_EXCEPTION;
		weight.take = weight.take == RULE_TAKE_NEXT ? RULE_TAKE_NEXT : RULE_TAKE_LINE;
	}
	weigh_level(line, &weight);
	if (weight.weight > weight.ceiling)
		weight.weight = weight.ceiling;
	/* What is indented belongs to something else: a source line, a list, a usage text. */
	if (line->indent > 0 && weight.weight > WEIGHT_STATEMENT && weight.weight < 92)
		weight.weight -= 10;
	if (found.insisting > weight.weight) {
		weight.weight = found.insisting;
		weight.ceiling = RULE_UNLIMITED;
	}
	if (line->length <= 2)
		weight.weight = 0;
	*ret_weight = weight;
}

void weigh_status(const struct log_line *line, struct line_weight *weight)
{
	char words[32];
	size_t at;
	if (weight->detail != 0)
		return;
	unsigned status = http_status_find(line->folded, line->length, &at);
	if (status == 0)
		return;
	struct rule_findings found;
	size_t length = (size_t)snprintf(words, sizeof words, "status code %u", status);
	const struct rule_text text = {words, words, length, 0};
	rules_find(&rules_builtin, NULL, &text, &found, NULL);
	weight->detail = found.detail;
	weight->detail_rule = found.detail_rule;
}
