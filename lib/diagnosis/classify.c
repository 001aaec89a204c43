#include "lib/diagnosis/classify.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

static const char *const cause_names[CAUSE_COUNT] = {
        "Unknown",      "Completed",  "Error",      "Panic",     "Abort",    "Segfault",
        "OOMKilled",    "Killed",     "Terminated", "Timeout",   "Stalled",  "StartError",
        "NeverStarted", "Dependency", "Evicted",    "Preempted", "NodeLost",
};

struct word_row {
	const char *word;
	enum cause cause;
};

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

/* What a statement says (letters' case aside), in the order of precedence. */
static const struct word_row statements[] = {
        {"outofmemoryerror", CAUSE_OOM_KILLED},
        {"heap out of memory", CAUSE_OOM_KILLED},
        {"memoryerror", CAUSE_OOM_KILLED},
        {"runtime: out of memory", CAUSE_OOM_KILLED},
        {"bad_alloc", CAUSE_OOM_KILLED},
        {"cannot allocate memory", CAUSE_OOM_KILLED},
        {"memory allocation of", CAUSE_OOM_KILLED},
        {"oomkilled", CAUSE_OOM_KILLED},
        {"allowed memory size", CAUSE_OOM_KILLED},
        {"cuda out of memory", CAUSE_OOM_KILLED},
        {"oom when allocating", CAUSE_OOM_KILLED},
        {"connection refused", CAUSE_DEPENDENCY},
        {"connectionrefused", CAUSE_DEPENDENCY},
        {"econnrefused", CAUSE_DEPENDENCY},
        {"connection reset", CAUSE_DEPENDENCY},
        {"connectionreset", CAUSE_DEPENDENCY},
        {"econnreset", CAUSE_DEPENDENCY},
        {"connection timed out", CAUSE_DEPENDENCY},
        {"connecttimeout", CAUSE_DEPENDENCY},
        {"connect timeout", CAUSE_DEPENDENCY},
        {"connect timed out", CAUSE_DEPENDENCY},
        {"etimedout", CAUSE_DEPENDENCY},
        {"connectionerror", CAUSE_DEPENDENCY},
        {"connecterror", CAUSE_DEPENDENCY},
        {"connection closed", CAUSE_DEPENDENCY},
        {"closed connection", CAUSE_DEPENDENCY},
        {"closed the connection", CAUSE_DEPENDENCY},
        {"lost connection", CAUSE_DEPENDENCY},
        {"hung up unexpectedly", CAUSE_DEPENDENCY},
        {"socket disconnected", CAUSE_DEPENDENCY},
        {"other side closed", CAUSE_DEPENDENCY},
        {"connect call failed", CAUSE_DEPENDENCY},
        {"cannot connect to", CAUSE_DEPENDENCY},
        {"can't connect to", CAUSE_DEPENDENCY},
        {"couldn't connect to", CAUSE_DEPENDENCY},
        {"the connection to the server ", CAUSE_DEPENDENCY},
        {"server disconnected", CAUSE_DEPENDENCY},
        {"error sending request for url", CAUSE_DEPENDENCY},
        {"\": eof", CAUSE_DEPENDENCY},
        {"no route to host", CAUSE_DEPENDENCY},
        {"ehostunreach", CAUSE_DEPENDENCY},
        {"network is unreachable", CAUSE_DEPENDENCY},
        {" enotfound", CAUSE_DEPENDENCY},
        {"eai_again", CAUSE_DEPENDENCY},
        {"no such host", CAUSE_DEPENDENCY},
        {"name or service not known", CAUSE_DEPENDENCY},
        {"name does not resolve", CAUSE_DEPENDENCY},
        {"name resolution", CAUSE_DEPENDENCY},
        {"failure resolving '", CAUSE_DEPENDENCY},
        {"resolve host", CAUSE_DEPENDENCY},
        {"could not resolve '", CAUSE_DEPENDENCY},
        {"bad address '", CAUSE_DEPENDENCY},
        {"gaierror", CAUSE_DEPENDENCY},
        {"server misbehaving", CAUSE_DEPENDENCY},
        {"unknownhostexception", CAUSE_DEPENDENCY},
        {"dns error", CAUSE_DEPENDENCY},
        {"nodename nor servname", CAUSE_DEPENDENCY},
        {"certificate verify failed", CAUSE_DEPENDENCY},
        {"certificate verification failed", CAUSE_DEPENDENCY},
        {"local issuer certificate", CAUSE_DEPENDENCY},
        {"verify the first certificate", CAUSE_DEPENDENCY},
        {"match certificate's altnames", CAUSE_DEPENDENCY},
        {"the ssl connection", CAUSE_DEPENDENCY},
        {"remote certificate is invalid", CAUSE_DEPENDENCY},
        {"wrong version number", CAUSE_DEPENDENCY},
        {"eof occurred in violation of protocol", CAUSE_DEPENDENCY},
        {"certificate has expired", CAUSE_DEPENDENCY},
        {"self-signed certificate", CAUSE_DEPENDENCY},
        {"self signed certificate", CAUSE_DEPENDENCY},
        {"x509: certificate", CAUSE_DEPENDENCY},
        {"tls: ", CAUSE_DEPENDENCY},
        {"tls handshake", CAUSE_DEPENDENCY},
        {"sslerror", CAUSE_DEPENDENCY},
        {"sslhandshakeexception", CAUSE_DEPENDENCY},
        {"invalid peer certificate", CAUSE_DEPENDENCY},
        {"ssl certificate problem", CAUSE_DEPENDENCY},
        {"max retries exceeded", CAUSE_DEPENDENCY},
        {"bad gateway", CAUSE_DEPENDENCY},
        {"service unavailable", CAUSE_DEPENDENCY},
        {"gateway timeout", CAUSE_DEPENDENCY},
        {"gateway time-out", CAUSE_DEPENDENCY},
        {"internal server error", CAUSE_DEPENDENCY},
        {"internalservererror", CAUSE_DEPENDENCY},
        {"serviceunavailable", CAUSE_DEPENDENCY},
        {"server error for url", CAUSE_DEPENDENCY},
        {"status code 50", CAUSE_DEPENDENCY},
        {"status code: 50", CAUSE_DEPENDENCY},
        {"status 50", CAUSE_DEPENDENCY},
        {"http 50", CAUSE_DEPENDENCY},
        {"http error 50", CAUSE_DEPENDENCY},
        {"http 529", CAUSE_DEPENDENCY},
        {"error code: 50", CAUSE_DEPENDENCY},
        {"server_error", CAUSE_DEPENDENCY},
        {"api_error", CAUSE_DEPENDENCY},
        {"overloaded_error", CAUSE_DEPENDENCY},
        {": 429 ", CAUSE_DEPENDENCY},
        {"too many requests", CAUSE_DEPENDENCY},
        {"throttlingexception", CAUSE_DEPENDENCY},
        {"ratelimiterror", CAUSE_DEPENDENCY},
        {"rate_limit_error", CAUSE_DEPENDENCY},
        {"returned error: 50", CAUSE_DEPENDENCY},
        {"the requested url returned error: 5", CAUSE_DEPENDENCY},
        {"code = unavailable", CAUSE_DEPENDENCY},
        {"statuscode.unavailable", CAUSE_DEPENDENCY},
        {"14 unavailable: ", CAUSE_DEPENDENCY},
        {"statusruntimeexception: unavailable", CAUSE_DEPENDENCY},
        {"i/o timeout", CAUSE_DEPENDENCY},
        {"read timed out", CAUSE_DEPENDENCY},
        {"readtimeout", CAUSE_DEPENDENCY},
        {"apitimeouterror", CAUSE_DEPENDENCY},
        {"headerstimeouterror", CAUSE_DEPENDENCY},
        {"bodytimeouterror", CAUSE_DEPENDENCY},
        {"client.timeout exceeded", CAUSE_DEPENDENCY},
        {"socket hang up", CAUSE_DEPENDENCY},
        {"could not connect", CAUSE_DEPENDENCY},
        {"failed to connect", CAUSE_DEPENDENCY},
        {"context deadline exceeded", CAUSE_TIMEOUT},
        {"deadline_exceeded", CAUSE_TIMEOUT},
        {"timeouterror", CAUSE_TIMEOUT},
        {"timeoutexpired", CAUSE_TIMEOUT},
        {"timeoutexception", CAUSE_TIMEOUT},
        {"timed out", CAUSE_TIMEOUT},
        {" panicked at ", CAUSE_PANIC},
        {"panic: ", CAUSE_PANIC},
        {"fatal error: all goroutines", CAUSE_PANIC},
        {"fatal error: concurrent map", CAUSE_PANIC},
        {"fatal error: stack overflow", CAUSE_PANIC},
        {"fatal error: sync: ", CAUSE_PANIC},
        {"fatal error: unexpected signal", CAUSE_PANIC},
        {"segmentation fault", CAUSE_SEGFAULT},
        {"addresssanitizer: segv", CAUSE_SEGFAULT},
        {"sigsegv", CAUSE_SEGFAULT},
        {"bus error", CAUSE_SEGFAULT},
        {"terminate called", CAUSE_ABORT},
        {"stack smashing", CAUSE_ABORT},
        {"buffer overflow detected", CAUSE_ABORT},
        {"double free", CAUSE_ABORT},
        {"free(): ", CAUSE_ABORT},
        {"malloc(): ", CAUSE_ABORT},
        {"corrupted size", CAUSE_ABORT},
        {"munmap_chunk()", CAUSE_ABORT},
        {"assertionerror", CAUSE_ERROR},
        {"assertion `", CAUSE_ABORT},
        {"assertion failed", CAUSE_ABORT},
        {"addresssanitizer", CAUSE_ABORT},
        {"core dumped", CAUSE_ABORT},
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

static const struct number_row code_causes[] = {
        {124, CAUSE_TIMEOUT}, /* timeout(1) */
        {101, CAUSE_PANIC},   /* Rust's runtime after a panic */
};

const char *cause_name(enum cause cause)
{
	return (unsigned)cause < CAUSE_COUNT ? cause_names[cause] : cause_names[CAUSE_UNKNOWN];
}

bool cause_from_name(const char *name, enum cause *ret_cause)
{
	for (unsigned i = 0; name != NULL && i < CAUSE_COUNT; i++)
		if (strcmp(name, cause_names[i]) == 0) {
			*ret_cause = (enum cause)i;
			return true;
		}
	return false;
}

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

static enum cause by_statement(const struct observation *o)
{
	if (o->snippet == NULL || !o->snippet->telling)
		return CAUSE_UNKNOWN;
	char lower[SNIPPET_SIZE_MAX + 1];
	size_t length = o->snippet->statement_length;
	for (size_t i = 0; i < length; i++) {
		char c = o->snippet->statement[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	lower[length] = '\0';
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		if (strstr(lower, statements[i].word) != NULL)
			return statements[i].cause;
	return CAUSE_UNKNOWN;
}

static enum cause by_pod(const struct observation *o)
{
	bool own_end = o->ended == ENDED_EXITED && o->exit_code != 0 && !is_forced(o);
	if (own_end && !o->told_to_terminate)
		return CAUSE_UNKNOWN;
	enum cause cause = look_up(ROWS(pod_reasons), o->disruption);
	enum cause better = look_up(ROWS(pod_reasons), o->pod_reason);
	return better != CAUSE_UNKNOWN ? better : cause;
}

static enum cause by_number(const struct observation *o)
{
	int number = ending_signal(o);
	if (number == SIGKILL && o->told_to_terminate)
		return CAUSE_TERMINATED;
	enum cause cause = look_up_number(ROWS(signal_causes), number);
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_EXITED)
		cause = look_up_number(ROWS(code_causes), o->exit_code);
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_SIGNALED)
		cause = CAUSE_KILLED;
	if (cause == CAUSE_UNKNOWN && o->ended == ENDED_EXITED)
		cause = CAUSE_ERROR;
	return cause;
}

/* Steps 4 and after: what the end itself and the output say. */
static enum cause by_end(const struct observation *o, const char **evidence)
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
		cause = by_end(o, &evidence);
	if (ret_evidence != NULL)
		*ret_evidence = evidence;
	return cause;
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

void classify_summary(const struct observation *observation, enum cause cause, struct buffer *out)
{
	char storage[SNIPPET_SIZE_MAX + 128];
	struct buffer line;
	buffer_init_fixed(&line, storage, sizeof storage);
	/* These the exit code tells, or the statement does. */
	bool plain = cause == CAUSE_ERROR || cause == CAUSE_COMPLETED || cause == CAUSE_PANIC;
	bool known = observation->ended != ENDED_UNKNOWN;
	if (!plain)
		buffer_append_text(&line, cause_name(cause));
	if (!plain && known)
		buffer_append_text(&line, ", ");
	write_end(observation, &line);
	const struct snippet *snippet = observation->snippet;
	const char *reason = observation->container_reason;
	if (reason == NULL || *reason == '\0')
		reason = observation->pod_reason;
	if (snippet != NULL && snippet->statement_length > 0)
		buffer_printf(&line, ": %s", snippet->statement);
	else if (reason != NULL && *reason != '\0' && strcmp(reason, cause_name(cause)) != 0)
		buffer_printf(&line, ": %.64s", reason);
	size_t length = line.length;
	if (length > SUMMARY_SIZE_MAX)
		length = utf8_valid_prefix(line.data, SUMMARY_SIZE_MAX);
	buffer_append(out, buffer_text(&line), length);
}
