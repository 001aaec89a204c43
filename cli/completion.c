#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/option.h"
#include "lib/base/buffer.h"

#define OUTPUT_MAX ((size_t)1024 * 1024)

enum directive { DIRECTIVE_FILES = 0, DIRECTIVE_NO_FILES = 4, DIRECTIVE_DIRECTORIES = 16 };

/* What the words before the last one say. */
struct line {
	const struct manual *manual;
	struct exit_source source;
	bool all_namespaces;
	const struct manual_flag *open; /* the last of them is a flag that wants a value */
	size_t arguments;               /* that are no flags */
	const char *first;              /* of them; NULL: none */
	bool flags_ended;               /* by "--" */
};

static void write_choice(struct buffer *out, const char *begin, const char *choice, size_t length,
                         const char *text)
{
	if (strncmp(choice, begin, strlen(begin)) != 0 || length < strlen(begin))
		return;
	buffer_append(out, choice, length);
	if (text != NULL)
		buffer_printf(out, "\t%s", text);
	buffer_append_char(out, '\n');
}

static void write_words(struct buffer *out, const char *begin, const char *words)
{
	while (*words != '\0') {
		size_t length = strcspn(words, "|");
		write_choice(out, begin, words, length, NULL);
		words += length + (words[length] == '|');
	}
}

static void write_commands(struct buffer *out, const char *begin)
{
	for (size_t i = 0; i < manual_count; i++)
		write_choice(out, begin, manuals[i].name, strlen(manuals[i].name),
		             manuals[i].summary);
	write_choice(out, begin, "help", strlen("help"), "describe a command");
}

static void write_flags(struct buffer *out, const char *begin, const struct manual *manual)
{
	for (size_t i = 0; i < manual->flag_count; i++) {
		char name[64];
		int length = snprintf(name, sizeof name, "--%s", manual->flags[i].name);
		write_choice(out, begin, name, (size_t)length, manual->flags[i].text);
	}
}

static enum directive write_values(struct line *line, enum manual_value kind, const char *words,
                                   const char *begin, struct buffer *out)
{
	switch (kind) {
	case VALUE_ANY:
		return DIRECTIVE_NO_FILES;
	case VALUE_FILE:
		return DIRECTIVE_FILES;
	case VALUE_DIRECTORY:
		return DIRECTIVE_DIRECTORIES;
	case VALUE_WORDS:
		write_words(out, begin, words);
		return DIRECTIVE_NO_FILES;
	default:
		completion_values(&line->source, line->all_namespaces, kind, begin, out);
		return DIRECTIVE_NO_FILES;
	}
}

/* ---- The words before ---- */

static void take_value(struct line *line, const struct manual_flag *flag, const char *value)
{
	if (flag->flag == FLAG_NAMESPACE)
		line->source.namespace = value;
	else if (flag->flag == FLAG_KUBECONFIG)
		line->source.kubectl.kubeconfig = value;
	else if (flag->flag == FLAG_CONTEXT)
		line->source.kubectl.context = value;
	else if (flag->flag == FLAG_FILENAME)
		line->source.path = value;
}

static void take_flag(struct line *line, const struct manual_flag *flag, const char *value)
{
	if (flag == NULL)
		return;
	if (flag->flag == FLAG_ALL_NAMESPACES)
		line->all_namespaces = true;
	if (flag->value != NULL && value == NULL)
		line->open = flag;
	else if (flag->value != NULL)
		take_value(line, flag, value);
}

/* A group of letters, the last of which may have its value behind it: -An, -nagents. */
static void take_letters(struct line *line, const char *letters)
{
	for (; *letters != '\0'; letters++) {
		const struct manual_flag *flag = manual_find_flag(line->manual, NULL, 0, *letters);
		bool takes = flag != NULL && flag->value != NULL;
		take_flag(line, flag, takes && letters[1] != '\0' ? letters + 1 : NULL);
		if (takes)
			return;
	}
}

static void take_word(struct line *line, const char *word)
{
	if (line->open != NULL) {
		take_value(line, line->open, word);
		line->open = NULL;
	} else if (!line->flags_ended && strcmp(word, "--") == 0) {
		line->flags_ended = true;
	} else if (!line->flags_ended && strncmp(word, "--", 2) == 0) {
		size_t length = strcspn(word + 2, "=");
		const struct manual_flag *flag =
		        manual_find_flag(line->manual, word + 2, length, '\0');
		take_flag(line, flag, word[2 + length] == '=' ? word + 3 + length : NULL);
	} else if (!line->flags_ended && word[0] == '-' && word[1] != '\0') {
		take_letters(line, word + 1);
	} else {
		line->first = line->arguments == 0 ? word : line->first;
		line->arguments++;
	}
}

/* ---- The last word ---- */

/* The flag of --NAME=BEGINNING; NULL: it is none. */
static const struct manual_flag *flag_with_value(const struct line *line, const char *word)
{
	if (line->flags_ended || strncmp(word, "--", 2) != 0 || strchr(word, '=') == NULL)
		return NULL;
	const struct manual_flag *flag =
	        manual_find_flag(line->manual, word + 2, strcspn(word + 2, "="), '\0');
	return flag == NULL || flag->value == NULL ? NULL : flag;
}

static enum directive write_argument(struct line *line, const char *word, struct buffer *out)
{
	const struct manual *manual = line->manual;
	bool of_breaker = strcmp(manual->name, "breaker") == 0 && line->arguments == 1 &&
	                  strcmp(line->first, "list") != 0;
	if (line->arguments == 0)
		return write_values(line, manual->argument, manual->argument_words, word, out);
	return write_values(line, of_breaker ? VALUE_NAMESPACE : VALUE_ANY, "", word, out);
}

static enum directive complete_word(struct line *line, const char *word, struct buffer *out)
{
	const struct manual_flag *flag = flag_with_value(line, word);
	if (line->open != NULL)
		return write_values(line, line->open->kind, line->open->words, word, out);
	if (flag != NULL)
		return write_values(line, flag->kind, flag->words, strchr(word, '=') + 1, out);
	if (word[0] != '-' || line->flags_ended)
		return write_argument(line, word, out);
	write_flags(out, word, line->manual);
	return DIRECTIVE_NO_FILES;
}

static enum directive complete(int count, char **words, struct buffer *out)
{
	const char *last = count == 0 ? "" : words[count - 1];
	struct line line = {.manual = count < 2 ? NULL : manual_find(words[0])};
	if (count < 2 || (count == 2 && strcmp(words[0], "help") == 0)) {
		write_commands(out, last);
		return DIRECTIVE_NO_FILES;
	}
	if (line.manual == NULL)
		return DIRECTIVE_NO_FILES;
	for (int i = 1; i + 1 < count; i++)
		take_word(&line, words[i]);
	return complete_word(&line, last, out);
}

int completion_print(int count, char **words)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, OUTPUT_MAX);
	enum directive directive = complete(count, words, &out);
	buffer_printf(&out, ":%d\n", (int)directive);
	fputs(buffer_text(&out), stdout);
	return fflush(stdout) == 0 && buffer_ok(&out) ? EXIT_OK : EXIT_FAILED;
}

/* ---- lastword completion ---- */

#define SCRIPT(shell)                                     \
	extern const char completion_##shell[];           \
	__asm__(".pushsection .rodata\n"                  \
	        ".global completion_" #shell "\n"         \
	        "completion_" #shell ":\n"                \
	        ".incbin \"cli/completion." #shell "\"\n" \
	        ".byte 0\n"                               \
	        ".popsection\n")

SCRIPT(bash);
SCRIPT(zsh);
SCRIPT(fish);

int command_completion(int argc, char **argv)
{
	int status = option_read(argc, argv, manual_find("completion"), NULL, NULL);
	if (status >= 0)
		return status;
	const char *shell = optind + 1 == argc ? argv[optind] : "";
	const char *script = strcmp(shell, "bash") == 0   ? completion_bash
	                     : strcmp(shell, "zsh") == 0  ? completion_zsh
	                     : strcmp(shell, "fish") == 0 ? completion_fish
	                                                  : NULL;
	if (script == NULL) {
		message("completion", "expected one of bash, zsh, fish");
		return EXIT_USAGE;
	}
	return fputs(script, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
