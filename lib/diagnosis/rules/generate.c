/*
 * generate: compiles the rules files into C tables while lastword is built; a program of the
 * building machine. Its rules, places and examples are checked with the matcher that uses them.
 *
 *   generate tables|places causes.rules FILE.rules … > FILE.c
 *
 * causes.rules has a line "NAME CAUSE "what it means"" for each detail, in order of precedence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/log_line.h"
#include "lib/diagnosis/rule_set.h"

#define RULES_MAX    1024
#define DETAILS_MAX  64 /* as many as struct diagnosis_rule can number */
#define PATTERNS_MAX 65535
#define EXAMPLE_MAX  512

static struct diagnosis_rule rules[RULES_MAX];
static char places[RULES_MAX][48];
static char examples[RULES_MAX][EXAMPLE_MAX];
static char counter_examples[RULES_MAX][EXAMPLE_MAX];
static char patterns[PATTERNS_MAX + RULE_PATTERN_MAX];
static uint16_t buckets[RULE_BUCKETS];
static struct rule_detail details[DETAILS_MAX] = {{"", CAUSE_ERROR}};
static char detail_names[DETAILS_MAX][32];
static struct rule_table table = {
        .rules = rules,
        .patterns = patterns,
        .buckets = buckets,
        .details = details,
        .detail_count = 1,
};
static size_t pattern_length;

static const char *file_name;
static unsigned line_number;

static void fail(const char *message)
{
	fprintf(stderr, "%s:%u: %s\n", file_name, line_number, message);
	exit(1);
}

static void add_detail(const char *line)
{
	char cause[32];
	enum cause number;
	if (table.detail_count == DETAILS_MAX)
		fail("too many details");
	char *name = detail_names[table.detail_count];
	if (sscanf(line, "%31s %31s", name, cause) != 2)
		fail("expected NAME CAUSE \"what it means\"");
	if (!cause_from_name(cause, &number))
		fail("this is no cause");
	details[table.detail_count].name = name;
	details[table.detail_count++].cause = (uint8_t)number;
}

/* How many rules share the bucket. */
static unsigned load(const char *anchor)
{
	unsigned count = 0;
	for (unsigned next = buckets[rule_bucket(rule_hash(anchor))]; next != 0;
	     next = rules[next - 1].next)
		count++;
	return count;
}

/* Chooses four literal bytes of the pattern's first piece whose bucket has the fewest rules. */
static void enter(struct diagnosis_rule *rule, const char *pattern, unsigned number)
{
	char folded[RULE_PATTERN_MAX];
	size_t literal = 0;
	for (; literal < rule->length && pattern[literal] != RULE_DIGITS &&
	       pattern[literal] != RULE_GAP;
	     literal++)
		folded[literal] = ascii_to_lower(pattern[literal]);
	for (size_t i = 0; i + RULE_ANCHOR <= literal; i++)
		if (load(folded + i) < load(folded + rule->anchor))
			rule->anchor = (uint8_t)i;
	uint32_t hash = rule_hash(folded + rule->anchor);
	uint16_t *bucket = &buckets[rule_bucket(hash)];
	rule->tag = rule_tag(hash);
	rule->next = *bucket;
	*bucket = (uint16_t)(number + 1);
}

static void read_example(const char **rest, char sign, char *out)
{
	struct error error;
	*rest += strspn(*rest, " \t");
	if (**rest != sign)
		fail("expected + \"a line that matches\" - \"a line that does not\"");
	(*rest)++;
	if (!rule_parse_string(rest, out, EXAMPLE_MAX, false, &error))
		fail(error.message);
}

static void add_rule(const char *line)
{
	struct rule_source source;
	struct error error;
	const char *rest;
	unsigned number = (unsigned)table.rule_count;
	if (number == RULES_MAX || pattern_length > PATTERNS_MAX)
		fail("too many rules");
	if (!rule_parse(line, &source, &rest, &error))
		fail(error.message);
	for (size_t i = 1; i < table.detail_count; i++)
		if (strcmp(source.detail, details[i].name) == 0)
			source.rule.detail = i & 0x3f;
	if (source.detail[0] != '\0' && source.rule.detail == 0)
		fail("this detail is not in causes.rules");
	source.rule.text = (uint16_t)pattern_length;
	memcpy(patterns + pattern_length, source.pattern, source.rule.length);
	pattern_length += source.rule.length;
	read_example(&rest, '+', examples[number]);
	read_example(&rest, '-', counter_examples[number]);
	if (rest[strspn(rest, " \t\r\n")] != '\0')
		fail("nothing is expected behind the examples");
	const char *slash = strrchr(file_name, '/');
	snprintf(places[number], sizeof places[number], "%.36s:%u",
	         slash == NULL ? file_name : slash + 1, line_number);
	rules[number] = source.rule;
	enter(&rules[number], source.pattern, number);
	table.rule_count++;
}

static void read_file(const char *path, bool causes)
{
	char line[2048];
	FILE *file = fopen(path, "r");
	file_name = path;
	line_number = 0;
	if (file == NULL)
		fail("cannot be read");
	while (fgets(line, sizeof line, file) != NULL) {
		line_number++;
		if (strchr(line, '\n') == NULL)
			fail("a line that is too long, or ends without a line end");
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
			continue;
		if (causes)
			add_detail(line);
		else
			add_rule(line);
	}
	fclose(file);
}

/* The rule matches the example as the matcher sees it. */
static bool example_matches(unsigned number, const char *example)
{
	static struct log_line line;
	log_line_read(example, strlen(example), &line);
	struct rule_text text = {line.text, line.folded, line.length, line.message};
	return rule_matches(&table, number, &text);
}

static unsigned check_examples(void)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < table.rule_count; i++) {
		if (!example_matches(i, examples[i])) {
			fprintf(stderr, "%s: does not match its example: %s\n", places[i],
			        examples[i]);
			wrong++;
		}
		if (example_matches(i, counter_examples[i])) {
			fprintf(stderr, "%s: matches its counter-example: %s\n", places[i],
			        counter_examples[i]);
			wrong++;
		}
	}
	return wrong;
}

static void write_tables(void)
{
	puts("/* Made by lib/diagnosis/rules/generate.c from the rules files. */\n"
	     "#include \"lib/diagnosis/rule_set.h\"\n\nstatic const struct diagnosis_rule rules[] "
	     "= {");
	for (size_t i = 0; i < table.rule_count; i++) {
		const struct diagnosis_rule *r = &rules[i];
		printf("\t{%u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u},\n", r->text, r->next,
		       r->tag, r->length, r->anchor, r->weight, r->insists, r->detail, r->kind,
		       r->place, r->take, r->exact);
	}
	puts("};\n\nstatic const char patterns[] = {");
	for (size_t i = 0; i < pattern_length; i++)
		printf("'\\x%02x',%s", (unsigned char)patterns[i], i % 16 == 15 ? "\n" : "");
	puts("};\n\nstatic const uint16_t buckets[RULE_BUCKETS] = {");
	for (size_t i = 0; i < RULE_BUCKETS; i++)
		printf("%u,%s", buckets[i], i % 16 == 15 ? "\n" : "");
	puts("};\n\nstatic const struct rule_detail details[] = {");
	for (size_t i = 0; i < table.detail_count; i++)
		printf("\t{\"%s\", %u},\n", details[i].name, details[i].cause);
	printf("};\n\nconst struct rule_table rules_builtin = {\n\trules, patterns, buckets, "
	       "details, %zu, %zu};\n",
	       table.rule_count, table.detail_count);
}

/* Where each rule stands, in a file of its own: the program in the pod does without. */
static void write_places(void)
{
	puts("/* Made by lib/diagnosis/rules/generate.c from the rules files. */\n"
	     "#include \"lib/diagnosis/rule_set.h\"\n\n"
	     "const char *const rules_builtin_places[] = {");
	for (size_t i = 0; i < table.rule_count; i++)
		printf("\t\"%s\",\n", places[i]);
	puts("};");
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: generate tables|places causes.rules FILE.rules …\n", stderr);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		read_file(argv[i], i == 2);
	if (check_examples() > 0)
		return 1;
	if (strcmp(argv[1], "places") == 0)
		write_places();
	else
		write_tables();
	return 0;
}
