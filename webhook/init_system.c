#include "webhook/init_system.h"

#include <stdio.h>
#include <string.h>

#include "lib/document/json.h"
#include "webhook/patterns.h"

#define WORD_SIZE 256 /* longer ones are no program of any pattern */
/* Programs that start each other are looked through so far. */
#define WRAPPERS_MAX 8
/* Commands of a script that replace the shell, and words of one command, that are looked at. */
#define SCRIPT_COMMANDS_MAX 32
#define SCRIPT_WORDS_MAX    32
#define EXPANDED_WORDS_MAX  64 /* with the script's own arguments */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static bool matches(const struct strings *patterns, const struct strings *words, size_t at)
{
	char both[2 * WORD_SIZE];
	const char *program = words->items[at];
	if (matches_any(patterns, program))
		return true;
	if (at + 1 >= words->count || strlen(program) >= WORD_SIZE ||
	    strlen(words->items[at + 1]) >= WORD_SIZE)
		return false;
	snprintf(both, sizeof both, "%s %s", program, words->items[at + 1]);
	return matches_any(patterns, both);
}

/* Behind the options of a wrapper; those of with_value are followed by a word of their own. */
static size_t skip_options(const struct strings *words, size_t at, const char *const *with_value)
{
	while (at < words->count && words->items[at][0] == '-') {
		const char *option = words->items[at++];
		if (strcmp(option, "--") == 0)
			break;
		if (is_one_of(option, with_value))
			at++;
	}
	return at;
}

static size_t skip_assignments(const struct strings *words, size_t at)
{
	while (at < words->count && strchr(words->items[at], '=') != NULL)
		at++;
	return at;
}

/* Programs that execute another one in their own place, or insist on being process 1 for it. */
static const struct wrapper {
	const char *name;
	const char *with_value[6]; /* options that are followed by a word of their own */
	size_t words;              /* between the options and the program: a user, a folder */
} wrappers[] = {
        {"env", {"-u", "--unset", "-C", "--chdir"}, 0},
        {"exec", {"-a"}, 0},
        {"command", {NULL}, 0},
        {"nohup", {NULL}, 0},
        {"setsid", {NULL}, 0},
        {"nice", {"-n", "--adjustment"}, 0},
        {"ionice", {"-c", "-n", "--class", "--classdata"}, 0},
        {"stdbuf", {"-i", "-o", "-e"}, 0},
        {"chroot", {NULL}, 1},
        {"gosu", {NULL}, 1},
        {"su-exec", {NULL}, 1},
        {"setuidgid", {NULL}, 1},
        {"s6-setuidgid", {NULL}, 1},
        {"setpriv", {"--reuid", "--regid", "--groups", "--inh-caps", "--bounding-set"}, 0},
        {"tini", {"-p", "-e"}, 0},
        {"tini-static", {"-p", "-e"}, 0},
        {"docker-init", {"-p", "-e"}, 0},
        {"dumb-init", {"-r", "--rewrite"}, 0},
        {"catatonit", {NULL}, 0},
        {"vault-env", {NULL}, 0},
};

/* Where the program starts that the wrapper at this place runs; the same place: it is none. */
static size_t behind_wrapper(const struct strings *words, size_t at)
{
	const char *name = base_name(words->items[at]);
	size_t i = 0;
	while (i < sizeof wrappers / sizeof wrappers[0] && strcmp(wrappers[i].name, name) != 0)
		i++;
	if (i == sizeof wrappers / sizeof wrappers[0])
		return at;
	at = skip_options(words, at + 1, wrappers[i].with_value) + wrappers[i].words;
	return strcmp(name, "env") == 0 ? skip_assignments(words, at) : at;
}

/* What env -S splits into words; NULL: it is not there. */
static const char *split_string(const struct strings *words, size_t at)
{
	if (strcmp(base_name(words->items[at]), "env") != 0)
		return NULL;
	for (at++; at < words->count && words->items[at][0] == '-'; at++) {
		const char *option = words->items[at];
		if (strncmp(option, "-S", 2) == 0 || strncmp(option, "-vS", 3) == 0) {
			const char *rest = strchr(option, 'S') + 1;
			return rest[0] != '\0'         ? rest
			       : at + 1 < words->count ? words->items[at + 1]
			                               : NULL;
		}
		if (strncmp(option, "--split-string=", 15) == 0)
			return option + 15;
	}
	return NULL;
}

static bool is_shell(const struct strings *words, size_t at)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", NULL};
	return is_one_of(base_name(words->items[at]), shells);
}

/* The first operand of the shell at this place: a script's text where *ret_text, else its file; the
 * number of words where there is none. */
static size_t shell_operand(const struct strings *words, size_t at, bool *ret_text)
{
	static const char *const with_value[] = {"-O", "+O", "--rcfile", "--init-file", NULL};
	*ret_text = false;
	for (at++; at < words->count; at++) {
		const char *option = words->items[at];
		if ((option[0] != '-' && option[0] != '+') || option[1] == '\0')
			break;
		if (strcmp(option, "--") == 0)
			return at + 1;
		if (option[0] == '-' && option[1] != '-' && strchr(option, 'c') != NULL)
			*ret_text = true;
		if (is_one_of(option, with_value) ||
		    (option[1] != '-' && option[strlen(option) - 1] == 'o'))
			at++;
	}
	return at;
}

/* What was found out about a command. */
struct command_line {
	const char *script;       /* of a shell, or of env -S; NULL: there is none */
	struct strings arguments; /* the script's, $0 first */
};

static struct strings words_from(const struct strings *words, size_t at)
{
	size_t first = at < words->count ? at : words->count;
	return (struct strings){.items = words->items + first, .count = words->count - first};
}

/* A command through its wrappers, up to a shell; false: no init system so far. */
static bool runs(const struct strings *patterns, const struct strings *words,
                 struct command_line *ret_line)
{
	size_t at = 0;
	for (unsigned depth = 0; at < words->count && depth < WRAPPERS_MAX; depth++) {
		if (matches(patterns, words, at))
			return true;
		const char *split = split_string(words, at);
		if (split != NULL) {
			*ret_line = (struct command_line){.script = split};
			return false;
		}
		bool is_text = false;
		size_t next = behind_wrapper(words, at);
		if (strcmp(base_name(words->items[at]), "busybox") == 0)
			next = at + 1;
		else if (is_shell(words, at))
			next = shell_operand(words, at, &is_text);
		if (is_text && next < words->count) {
			*ret_line = (struct command_line){.script = words->items[next],
			                                  .arguments = words_from(words, next + 1)};
			return false;
		}
		if (next == at)
			return false;
		at = next;
	}
	return false;
}

/* One command of a script, cut into words without their quotes. */
struct command {
	char storage[SCRIPT_WORDS_MAX][WORD_SIZE];
	const char *items[SCRIPT_WORDS_MAX];
	struct strings words;
};

static const char separators[] = ";&|()\n";

/* Reads the command at *script and moves *script behind it. */
static void read_command(const char **script, struct command *command)
{
	const char *at = *script;
	command->words = (struct strings){.items = command->items};
	while (*at != '\0' && strchr(separators, *at) == NULL) {
		size_t space = strspn(at, " \t\r");
		at += space;
		if (space > 0)
			continue;
		size_t length = 0;
		char *word = command->words.count < SCRIPT_WORDS_MAX
		                     ? command->storage[command->words.count]
		                     : NULL;
		for (;
		     *at != '\0' && strchr(" \t\r", *at) == NULL && strchr(separators, *at) == NULL;
		     at++)
			if (*at != '"' && *at != '\'' && word != NULL && length + 1 < WORD_SIZE)
				word[length++] = *at;
		if (word != NULL) {
			word[length] = '\0';
			command->items[command->words.count++] = word;
		}
	}
	*script = at + strspn(at, separators);
}

/* Where the command's program is: behind reserved words and assignments. */
static size_t program_of(const struct strings *words)
{
	static const char *const reserved[] = {"if", "then", "elif", "else", "while", "until",
	                                       "do", "{",    "!",    "time", NULL};
	size_t at = 0;
	while (at < words->count && is_one_of(words->items[at], reserved))
		at++;
	return skip_assignments(words, at);
}

/* The command with the script's arguments where it has "$@" or $0. */
static struct strings expand(const struct strings *words, const struct strings *arguments,
                             const char *items[EXPANDED_WORDS_MAX])
{
	static const char *const all[] = {"$@", "${@}", "$*", "${*}", NULL};
	static const char *const zero[] = {"$0", "${0}", NULL};
	struct strings expanded = {.items = items};
	for (size_t i = 0; i < words->count; i++) {
		struct strings part = {.items = &words->items[i], .count = 1};
		if (is_one_of(words->items[i], all))
			part = words_from(arguments, 1);
		else if (is_one_of(words->items[i], zero) && arguments->count > 0)
			part = (struct strings){.items = arguments->items, .count = 1};
		for (size_t j = 0; j < part.count && expanded.count < EXPANDED_WORDS_MAX; j++)
			items[expanded.count++] = part.items[j];
	}
	return expanded;
}

/* The text that a shell within a script runs: its quotes are gone, so it is the words behind. */
static bool nested_runs(const struct strings *patterns, const struct strings *words)
{
	struct command_line line = {NULL};
	if (runs(patterns, words, &line))
		return true;
	if (line.script == NULL || line.arguments.items == NULL)
		return false;
	struct strings inner = {.items = line.arguments.items - 1,
	                        .count = line.arguments.count + 1};
	return runs(patterns, &inner, &line);
}

static bool script_runs(const struct strings *patterns, const struct command_line *line)
{
	struct command command;
	const char *script = line->script;
	unsigned looked_at = 0;
	json_work_add(strlen(script) / 16);
	while (*script != '\0' && looked_at < SCRIPT_COMMANDS_MAX) {
		read_command(&script, &command);
		struct strings words = words_from(&command.words, program_of(&command.words));
		if (words.count == 0)
			continue;
		bool stays = strcmp(words.items[0], "exec") != 0 && *script != '\0';
		looked_at += !stays;
		if (stays)
			continue;
		const char *items[EXPANDED_WORDS_MAX];
		struct strings expanded = expand(&words, &line->arguments, items);
		if (nested_runs(patterns, &expanded))
			return true;
	}
	return false;
}

bool init_system_runs(const struct strings *patterns, const struct strings *words)
{
	struct command_line line = {NULL};
	return runs(patterns, words, &line) ||
	       (line.script != NULL && script_runs(patterns, &line));
}
