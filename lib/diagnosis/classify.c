#include "lib/diagnosis/classify.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

struct word_row {
	const char *word;
	enum cause cause;
};

/* How much of what was found in a statement a summary shows at least. */
#define FOCUS_SHOWN ((size_t)60)

/* pod status.reason, and the DisruptionTarget reasons (Kubernetes: "Pod disruption conditions"). */
static const struct word_row pod_reasons[] = {
        {"Evicted", CAUSE_EVICTED},
        {"EvictionByEvictionAPI", CAUSE_EVICTED},
        {"TerminationByKubelet", CAUSE_EVICTED},
        {"NodeShutdown", CAUSE_EVICTED},
        {"Preempting", CAUSE_PREEMPTED},
        {"Preempted", CAUSE_PREEMPTED},
        {"PreemptionByScheduler", CAUSE_PREEMPTED},
        {"NodeLost", CAUSE_NODE_LOST},
        {"DeletionByTaintManager", CAUSE_NODE_LOST},
        {"DeletionByPodGC", CAUSE_NODE_LOST},
        {"DeadlineExceeded", CAUSE_TIMEOUT},
        {"UnexpectedAdmissionError", CAUSE_NEVER_STARTED},
        {"OutOfcpu", CAUSE_NEVER_STARTED},
        {"OutOfmemory", CAUSE_NEVER_STARTED},
        {"OutOfpods", CAUSE_NEVER_STARTED},
        {"NodeAffinity", CAUSE_NEVER_STARTED},
};

/* state.terminated.reason and state.waiting.reason, where they say more than "Error". */
static const struct word_row container_reasons[] = {
        {"OOMKilled", CAUSE_OOM_KILLED},
        {"StartError", CAUSE_START_ERROR},
        {"ContainerCannotRun", CAUSE_START_ERROR},
        {"RunContainerError", CAUSE_START_ERROR},
        {"PostStartHookError", CAUSE_START_ERROR},
        {"DeadlineExceeded", CAUSE_TIMEOUT},
        {"ErrImagePull", CAUSE_NEVER_STARTED},
        {"ImagePullBackOff", CAUSE_NEVER_STARTED},
        {"ErrImageNeverPull", CAUSE_NEVER_STARTED},
        {"InvalidImageName", CAUSE_NEVER_STARTED},
        {"ImageInspectError", CAUSE_NEVER_STARTED},
        {"RegistryUnavailable", CAUSE_NEVER_STARTED},
        {"CreateContainerConfigError", CAUSE_NEVER_STARTED},
        {"CreateContainerError", CAUSE_NEVER_STARTED},
        {"PodInitializing", CAUSE_NEVER_STARTED},
        {"ContainerCreating", CAUSE_NEVER_STARTED},
};

struct number_row {
	int number;
	enum cause cause;
};

static const struct number_row signal_causes[] = {
        {SIGSEGV, CAUSE_SEGFAULT},  {SIGBUS, CAUSE_SEGFAULT},    {SIGABRT, CAUSE_ABORT},
        {SIGILL, CAUSE_ABORT},      {SIGFPE, CAUSE_ABORT},       {SIGTRAP, CAUSE_ABORT},
        {SIGSYS, CAUSE_ABORT},      {SIGTERM, CAUSE_TERMINATED}, {SIGINT, CAUSE_TERMINATED},
        {SIGHUP, CAUSE_TERMINATED}, {SIGQUIT, CAUSE_TERMINATED}, {SIGALRM, CAUSE_TIMEOUT},
        {SIGXCPU, CAUSE_TIMEOUT},   {SIGPIPE, CAUSE_ERROR},      {SIGKILL, CAUSE_KILLED},
};

/* Rust's runtime after a panic; cargo after any failure. */
#define RUST_PANIC 101

static const struct number_row code_causes[] = {
        {124, CAUSE_TIMEOUT}, /* timeout(1) */
        {RUST_PANIC, CAUSE_PANIC},
};

/* The cause of that word in rows; CAUSE_UNKNOWN: there is none. */
static enum cause look_up(const struct word_row *rows, size_t count, const char *word)
{
	for (size_t i = 0; word != NULL && i < count; i++)
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].cause;
	return CAUSE_UNKNOWN;
}

static enum cause look_up_number(const struct number_row *rows, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].number == number)
			return rows[i].cause;
	return CAUSE_UNKNOWN;
}

#define ROWS(table) (table), sizeof(table) / sizeof *(table)

/* The signal that ended it, also where a shell or runtime tells it as 128+n; 0: none. */
static int ending_signal(const struct observation *o)
{
	if (o->ended == ENDED_SIGNALED)
		return o->signal;
	if (o->ended == ENDED_VANISHED)
		return SIGKILL;
	if (o->ended == ENDED_EXITED && o->exit_code > 128 && o->exit_code <= 128 + 31)
		return o->exit_code - 128;
	return 0;
}

static bool is_forced(const struct observation *o)
{
	int number = ending_signal(o);
	return o->ended == ENDED_VANISHED || number == SIGKILL || number == SIGTERM;
}

/* The cause that the statement's detail has. */
static enum cause by_statement(const struct observation *o)
{
	if (o->snippet == NULL || !o->snippet->found || o->snippet->detail == 0)
		return CAUSE_UNKNOWN;
	return (enum cause)rules_builtin.details[o->snippet->detail].cause;
}

/* The output says what was wrong, so that the code says no more: 101 is cargo's, too. */
static bool has_statement(const struct observation *o)
{
	return o->snippet != NULL && o->snippet->found;
}

static enum cause by_pod(const struct observation *o)
{
	bool own_exit = o->ended == ENDED_EXITED && o->exit_code != 0 && !is_forced(o);
	if (own_exit && !o->termination_requested)
		return CAUSE_UNKNOWN;
	enum cause cause = look_up(ROWS(pod_reasons), o->disruption);
	enum cause better = look_up(ROWS(pod_reasons), o->pod_reason);
	return better != CAUSE_UNKNOWN ? better : cause;
}

static enum cause by_number(const struct observation *o)
{
	int number = ending_signal(o);
	if (number == SIGKILL && o->termination_requested)
		return CAUSE_TERMINATED;
	enum cause cause = look_up_number(ROWS(signal_causes), number);
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_EXITED &&
	    !(has_statement(o) && o->exit_code == RUST_PANIC))
		cause = look_up_number(ROWS(code_causes), o->exit_code);
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_SIGNALED)
		cause = CAUSE_KILLED;
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_EXITED)
		cause = CAUSE_ERROR;
	return cause;
}

/* Steps 4 and after: by exit code, signal and output. */
static enum cause by_exit(const struct observation *o, const char **evidence)
{
	*evidence = "exit-code";
	if (o->ended == ENDED_EXITED && o->exit_code == 0)
		return CAUSE_COMPLETED;
	if (o->ended == ENDED_NOT_EXECUTED)
		return CAUSE_START_ERROR;
	if (o->ended == ENDED_UNKNOWN) {
		*evidence = "none";
		return CAUSE_UNKNOWN;
	}
	if (o->oom_kills > 0) {
		*evidence = "oom-kills";
		return CAUSE_OOM_KILLED;
	}
	int number = ending_signal(o);
	if (!is_forced(o) && number != SIGSEGV && number != SIGBUS) {
		enum cause cause = by_statement(o);
		*evidence = "statement";
		if (cause != CAUSE_UNKNOWN)
			return cause;
	}
	*evidence = o->ended == ENDED_VANISHED ? "vanished" : number != 0 ? "signal" : "exit-code";
	return by_number(o);
}

enum cause classify(const struct observation *o, const char **ret_evidence)
{
	const char *evidence = "killed-by-us";
	enum cause cause = CAUSE_UNKNOWN;
	if (o->killed_by_us != KILLED_BY_US_NOT)
		cause = o->killed_by_us == KILLED_BY_US_DEADLINE ? CAUSE_TIMEOUT : CAUSE_STALLED;
	if (cause == CAUSE_UNKNOWN) {
		evidence = "pod-reason";
		cause = by_pod(o);
	}
	if (cause == CAUSE_UNKNOWN) {
		evidence = "container-reason";
		cause = look_up(ROWS(container_reasons), o->container_reason);
		if (cause == CAUSE_OOM_KILLED && o->ended == ENDED_EXITED && o->exit_code == 0)
			cause = CAUSE_COMPLETED;
	}
	if (cause == CAUSE_UNKNOWN)
		cause = by_exit(o, &evidence);
	if (ret_evidence != NULL)
		*ret_evidence = evidence;
	return cause;
}

const char *classify_detail(const struct observation *o, enum cause cause)
{
	/* If the termination was forced from outside, the output does not count. */
	if (is_forced(o) || by_statement(o) != cause || cause == CAUSE_UNKNOWN)
		return NULL;
	return rules_builtin.details[o->snippet->detail].name;
}

const char *signal_name(int number, char storage[SIGNAL_NAME_SIZE])
{
	static const char *const names[] = {
	        NULL,       "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",  "SIGTRAP",   "SIGABRT",
	        "SIGBUS",   "SIGFPE",  "SIGKILL",   "SIGUSR1", "SIGSEGV", "SIGUSR2",   "SIGPIPE",
	        "SIGALRM",  "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP",   "SIGTSTP",
	        "SIGTTIN",  "SIGTTOU", "SIGURG",    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF",
	        "SIGWINCH", "SIGIO",   "SIGPWR",    "SIGSYS",
	};
	/* As kill -l counts: the C library keeps the first real-time signals for itself. */
	const int realtime_minimum = 34;
	const int realtime_maximum = 64;
	if (number > 0 && number < (int)(sizeof names / sizeof *names))
		return names[number];
	if (number < realtime_minimum || number > realtime_maximum)
		return NULL;
	int offset = number - realtime_minimum;
	snprintf(storage, SIGNAL_NAME_SIZE, "SIGRTMIN%s%.0d", offset > 0 ? "+" : "", offset);
	return storage;
}

/* How it ended, in a few words; "" when nothing is known. */
static void write_end(const struct observation *o, struct buffer *line)
{
	char storage[SIGNAL_NAME_SIZE];
	const char *name;
	switch (o->ended) {
	case ENDED_EXITED:
		buffer_printf(line, "exit %d", o->exit_code);
		break;
	case ENDED_NOT_EXECUTED:
		buffer_printf(line, "not executed, exit %d", o->exit_code);
		break;
	case ENDED_SIGNALED:
		name = signal_name(o->signal, storage);
		buffer_printf(line, name != NULL ? "signal %d (%s)" : "signal %d", o->signal, name);
		break;
	case ENDED_VANISHED:
		buffer_append_text(line, "killed from outside");
		break;
	case ENDED_UNKNOWN:
		break;
	}
}

/* Where the clause that contains text[focus] begins, at most `most` bytes before it. */
static size_t clause_start(const char *text, size_t focus, size_t most)
{
	size_t from = focus;
	size_t least = focus > most ? focus - most : 0;
	for (size_t i = focus; i > least; i--) {
		if (strchr("\"'[({", text[i - 1]) != NULL ||
		    (i > 1 && text[i - 1] == ' ' && strchr(":;,-", text[i - 2]) != NULL))
			return i;
		if (text[i - 1] == ' ')
			from = i;
	}
	return from;
}

/* The statement, or where what was found in it would not be seen, the part that has it. */
static void write_statement(const struct snippet *snippet, struct buffer *line)
{
	const char *text = snippet->statement;
	size_t room = SUMMARY_SIZE_MAX - line->length - strlen(": \xE2\x80\xA6");
	size_t from = 0;
	buffer_append_text(line, line->length > 0 ? ": " : "");
	if (snippet->focus + FOCUS_SHOWN > room && snippet->statement_length > room) {
		from = clause_start(text, snippet->focus, room / 2);
		buffer_append_text(line, from > 0 ? "\xE2\x80\xA6" : "");
	}
	buffer_append_text(line, text + from);
}

void classify_summary(const struct observation *observation, enum cause cause, struct buffer *out)
{
	char storage[SNIPPET_SIZE_MAX + 128];
	struct buffer line;
	buffer_init_fixed(&line, storage, sizeof storage);
	/* For these causes the exit code or the statement says enough. */
	bool plain = cause == CAUSE_ERROR || cause == CAUSE_COMPLETED || cause == CAUSE_PANIC;
	bool known = observation->ended != ENDED_UNKNOWN;
	bool stated = has_statement(observation);
	if (!plain && !(stated && by_statement(observation) == cause))
		buffer_append_text(&line, cause_name(cause));
	if (!plain && known && !stated)
		buffer_append_text(&line, ", ");
	if (!stated)
		write_end(observation, &line);
	const struct snippet *snippet = observation->snippet;
	const char *reason = observation->container_reason;
	if (reason == NULL || *reason == '\0')
		reason = observation->pod_reason;
	if (snippet != NULL && snippet->statement_length > 0)
		write_statement(snippet, &line);
	else if (reason != NULL && *reason != '\0' && strcmp(reason, cause_name(cause)) != 0)
		buffer_printf(&line, ": %.64s", reason);
	size_t length = line.length;
	if (length > SUMMARY_SIZE_MAX)
		length = utf8_valid_prefix(line.data, SUMMARY_SIZE_MAX);
	buffer_append(out, buffer_text(&line), length);
}
