/*
 * victim: a command that ends, holds and behaves as the tests want it.
 *
 *   victim exit CODE            exits
 *   victim kill SIGNAL          sends it to itself; exits with 0 if it survives
 *   victim abort -              abort()
 *   victim fault ADDRESS        writes there
 *   victim hold HOW SIGNAL MS   says "ready", waits for the signal at most MS milliseconds:
 *       default, ignore         its disposition; exits with 0 after MS
 *       handle                  a handler says "got SIGNAL VALUE"; exits with 42
 *       block                   blocked and waited for; the same
 *   victim print MS             a line each millisecond, for so long; exits with 7
 *   victim eat MEGABYTES        touches so much memory, says "full"
 *   victim talk BYTES CODE      prints so many letters on stdout and a line on stderr, exits
 *   victim child COMMAND...     executes the command in a child, waits for it, exits with 3 when
 *                               the child was killed, else with 0
 *   victim spare COMMAND...     the same, but exits with 0 however the child ended
 *
 * Signals are numbers, all 64, so the kernel's own calls are used where libraries keep some back.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static volatile sig_atomic_t got;
static volatile int got_value;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	got_value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
	got = number;
}

static int say_got(int number, int value)
{
	char line[64];
	int length = snprintf(line, sizeof line, "got %d %d\n", number, value);
	return write(STDOUT_FILENO, line, (size_t)length) == length ? 42 : 1;
}

/* In short naps: a signal may come just before one. */
static void wait_milliseconds(long milliseconds)
{
	const struct timespec nap = {.tv_nsec = 2 * 1000 * 1000};
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + milliseconds;
	while (got == 0 && now.tv_sec * 1000 + now.tv_nsec / 1000000 < end) {
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
}

static int hold(const char *how, int number, long milliseconds)
{
	uint64_t bit = UINT64_C(1) << (number - 1);
	if (strcmp(how, "ignore") == 0) {
		struct kernel_action action = {.handler = SIG_IGN};
		syscall(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
	} else if (strcmp(how, "handle") == 0) {
		struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
		if (sigaction(number, &action, NULL) < 0)
			return 2;
	} else if (strcmp(how, "block") == 0) {
		syscall(SYS_rt_sigprocmask, SIG_BLOCK, &bit, NULL, sizeof bit);
	}
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 2;
	if (strcmp(how, "block") == 0) {
		siginfo_t info = {0};
		struct timespec most = {.tv_sec = milliseconds / 1000,
		                        .tv_nsec = milliseconds % 1000 * 1000000L};
		long number_got;
		do
			number_got = syscall(SYS_rt_sigtimedwait, &bit, &info, &most, sizeof bit);
		while (number_got < 0 && got == 0 && info.si_signo != 0);
		return number_got < 0
		               ? 0
		               : say_got((int)number_got,
		                         info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
	}
	wait_milliseconds(milliseconds);
	return got != 0 ? say_got(got, got_value) : 0;
}

static int print_for(long milliseconds)
{
	const struct timespec nap = {.tv_nsec = 1000 * 1000};
	for (long i = 0; i <= milliseconds; i++) {
		if (write(STDOUT_FILENO, "working\n", 8) != 8)
			return 1;
		nanosleep(&nap, NULL);
	}
	return 7;
}

static int eat(size_t megabytes)
{
	size_t length = megabytes << 20;
	char *memory = malloc(length);
	if (memory == NULL)
		return 1;
	for (size_t i = 0; i < length; i += 4096)
		((volatile char *)memory)[i] = 1;
	return puts("full") < 0;
}

static int talk(size_t length, int code)
{
	char piece[32 * 1024];
	for (size_t i = 0; i < sizeof piece; i++)
		piece[i] = (char)('a' + i % 23);
	while (length > 0) {
		ssize_t written =
		        write(STDOUT_FILENO, piece, length < sizeof piece ? length : sizeof piece);
		if (written < 0)
			return 1;
		length -= (size_t)written;
	}
	return write(STDERR_FILENO, "said it\n", 8) == 8 ? code : 1;
}

static int with_child(char **command)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 3 : 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;
	if (strcmp(what, "exit") == 0)
		return number;
	if (strcmp(what, "kill") == 0) {
		syscall(SYS_kill, getpid(), number);
		return 0;
	}
	if (strcmp(what, "abort") == 0)
		abort();
	if (strcmp(what, "fault") == 0)
		*(volatile char *)(uintptr_t)number = 1;
	if (strcmp(what, "hold") == 0 && argc > 4)
		return hold(argv[2], atoi(argv[3]), atol(argv[4]));
	if (strcmp(what, "print") == 0)
		return print_for(number);
	if (strcmp(what, "eat") == 0)
		return eat((size_t)number);
	if (strcmp(what, "talk") == 0 && argc > 3)
		return talk((size_t)number, atoi(argv[3]));
	if (strcmp(what, "child") == 0)
		return with_child(argv + 2);
	if (strcmp(what, "spare") == 0) {
		with_child(argv + 2);
		return 0;
	}
	fputs("usage: see victim.c\n", stderr);
	return 2;
}
