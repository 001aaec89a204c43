#include "cli/option.h"

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "lib/base/buffer.h"
#include "lib/base/nearest.h"

#define HELP_MAX     ((size_t)64 * 1024)
#define OPTION_END   (-1)
#define OPTION_WRONG '?'

/* The table in getopt's form: the long flags, and the letters behind ":". */
static void write_tables(const struct manual *manual, struct option longs[MANUAL_FLAGS_MAX + 1],
                         char letters[2 * MANUAL_FLAGS_MAX + 2])
{
	size_t length = 0;
	letters[length++] = ':';
	for (size_t i = 0; i < manual->flag_count && i < MANUAL_FLAGS_MAX; i++) {
		const struct manual_flag *flag = &manual->flags[i];
		int takes = flag->value == NULL ? no_argument : required_argument;
		longs[i] = (struct option){flag->name, takes, NULL, (int)flag->flag};
		if (flag->letter == '\0')
			continue;
		letters[length++] = flag->letter;
		if (flag->value != NULL)
			letters[length++] = ':';
	}
	longs[manual->flag_count] = (struct option){NULL, 0, NULL, 0};
	letters[length] = '\0';
}

/* Another command has a flag of this name. */
static bool is_of_another(const char *name, size_t length, char letter)
{
	for (size_t i = 0; i < manual_count; i++)
		if (manual_find_flag(&manuals[i], name, length, letter) != NULL)
			return true;
	return false;
}

/* The flag that was meant; NULL: none is near. */
static const char *meant_flag(const struct manual *manual, const char *name, size_t length)
{
	char text[NEAREST_LENGTH_MAX + 1];
	struct nearest nearest = {.text = text};
	if (length >= sizeof text)
		return NULL;
	memcpy(text, name, length);
	text[length] = '\0';
	for (size_t i = 0; i < manual->flag_count; i++)
		nearest_offer(&nearest, manual->flags[i].name);
	return nearest.word == NULL || nearest.distance == 0 ? NULL : nearest.word;
}

static int fail_unknown(const struct manual *manual, const char *given, struct error *error)
{
	bool is_long = strncmp(given, "--", 2) == 0;
	const char *name = is_long ? given + 2 : NULL;
	size_t length = is_long ? strcspn(name, "=") : 0;
	if (!is_long && is_of_another(NULL, 0, (char)optopt))
		error_set(error, "-%c: not a flag of this command; see --help", optopt);
	else if (!is_long)
		error_set(error, "-%c: unknown flag; see --help", optopt);
	else if (manual_find_flag(manual, name, length, '\0') != NULL)
		error_set(error, "--%.*s: takes no value; see --help", (int)length, name);
	else if (is_of_another(name, length, '\0'))
		error_set(error, "--%.*s: not a flag of this command; see --help", (int)length,
		          name);
	else {
		const char *meant = meant_flag(manual, name, length);
		error_set(error, "--%.*s: unknown flag%s%s%s; see --help", (int)length, name,
		          meant == NULL ? "" : ", did you mean --", meant == NULL ? "" : meant,
		          meant == NULL ? "" : "?");
	}
	return OPTION_WRONG;
}

/* The next flag, its value in optarg; OPTION_END, with the arguments from optind on; OPTION_WRONG
 * with error. */
static int option_next(int argc, char **argv, const struct manual *manual, struct error *error)
{
	struct option longs[MANUAL_FLAGS_MAX + 1];
	char letters[2 * MANUAL_FLAGS_MAX + 2];
	write_tables(manual, longs, letters);
	int code = getopt_long(argc, argv, letters, longs, NULL);
	const char *given = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	if (code == ':') {
		error_set(error, "%s: expected a value; see --help", given);
		return OPTION_WRONG;
	}
	if (code == '?')
		return fail_unknown(manual, optopt != 0 && given[1] != '-' ? "-" : given, error);
	const struct manual_flag *flag = code > 0 && code < FLAG_AGENT
	                                         ? manual_find_flag(manual, NULL, 0, (char)code)
	                                         : NULL;
	return flag == NULL ? code : (int)flag->flag;
}

int option_read(int argc, char **argv, const struct manual *manual, option_taker *take,
                void *context)
{
	struct error error = {""};
	int code;
	optind = 0; /* main has read arguments of its own */
	opterr = 0;
	while ((code = option_next(argc, argv, manual, &error)) != OPTION_END) {
		if (code == FLAG_HELP) {
			option_print_help(manual);
			return EXIT_OK;
		}
		if (code == OPTION_WRONG ||
		    (take != NULL && !take(context, code, optarg, &error))) {
			message(manual->name, "%s", error.message);
			return EXIT_USAGE;
		}
	}
	return -1;
}

bool option_is_word(const struct manual *manual, enum flag flag, const char *value,
                    struct error *error)
{
	const struct manual_flag *found = NULL;
	for (size_t i = 0; i < manual->flag_count; i++)
		if (manual->flags[i].flag == flag)
			found = &manual->flags[i];
	const char *words = found == NULL || found->words == NULL ? "" : found->words;
	for (const char *word = words; *word != '\0';) {
		size_t length = strcspn(word, "|");
		if (strlen(value) == length && strncmp(value, word, length) == 0)
			return true;
		word += length + (word[length] == '|');
	}
	char expected[80] = "";
	for (size_t i = 0, n = 0; words[i] != '\0' && n + 3 < sizeof expected; i++)
		n += (size_t)snprintf(expected + n, 3, words[i] == '|' ? ", " : "%c", words[i]);
	char name[32] = "-";
	if (found != NULL)
		snprintf(name, sizeof name, found->letter == '\0' ? "--%s" : "-%.1s",
		         found->letter == '\0' ? found->name : &found->letter);
	return error_set(error, "%s %s: expected %s%s", name, value,
	                 strchr(words, '|') == NULL ? "" : "one of ", expected);
}

void option_print_help(const struct manual *manual)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, HELP_MAX);
	manual_write_help(manual, &text);
	fputs(buffer_text(&text), stdout);
}
