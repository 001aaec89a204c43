/*
 * fault: starts a command whose system calls fail, or that has too little of something.
 *
 *   fault deny ERRNO CALLS -- COMMAND...
 *       a seccomp filter has every call of CALLS (numbers, "1,2") fail, in it and all it starts
 *   fault inject ERRNO CALL FIRST LAST LIST -- COMMAND...
 *       the FIRSTth to LASTth call of CALL (-1: of any) fail, in the command and in its children
 *       until they execute something else. The numbers of all calls are written to the file LIST,
 *       a line each.
 *
 *   fault limit WHICH VALUE USER -- COMMAND...
 *       as that user, under a resource limit
 *
 * Exits with the command's code, 128+n for a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define DENIED_MAX  128
#define EVENT(code) ((code) >> 16)

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(99);
}

/* ---- deny ---- */

static _Noreturn void deny(int number, char *calls, char **command)
{
	struct sock_filter filter[2 * DENIED_MAX + 2] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	unsigned short length = 1;
	for (char *call = strtok(calls, ","); call != NULL && length < 2 * DENIED_MAX;
	     call = strtok(NULL, ",")) {
		filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		                                                (uint32_t)atoi(call), 0, 1);
		filter[length++] = (struct sock_filter)BPF_STMT(
		        BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)number);
	}
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = length, .filter = filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("seccomp");
	execvp(command[0], command);
	die(command[0]);
}

/* ---- inject ---- */

struct plan {
	int number; /* errno */
	long call;  /* -1: any */
	long first;
	long last;
	FILE *list;
	long count;
};

/* Whether this call is to fail. */
static bool is_hit(struct plan *plan, long call)
{
	fprintf(plan->list, "%ld\n", call);
	if (plan->call >= 0 && plan->call != call)
		return false;
	plan->count++;
	return plan->count >= plan->first && plan->count <= plan->last;
}

/* A call that is to fail becomes one that does not exist, and its result ours. */
static void at_call(pid_t pid, struct plan *plan)
{
	struct user_regs_struct registers;
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0 ||
	    ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0)
		return; /* it has been killed */
	bool none = (long)registers.orig_rax == -1;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !none && is_hit(plan, (long)registers.orig_rax))
		registers.orig_rax = (unsigned long long)-1;
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT && none)
		registers.rax = (unsigned long long)-plan->number;
	else
		return;
	ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

static bool stops(int number)
{
	return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

static int code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int follow(pid_t command, struct plan *plan)
{
	bool executed = false;
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			die("waitpid");
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == command)
				return code_of(status);
			continue;
		}
		int number = WSTOPSIG(status);
		int deliver = 0;
		if (EVENT(status) == PTRACE_EVENT_EXEC) {
			bool first = pid == command && !executed;
			executed |= first;
			if (!first) { /* what the shim runs is left alone */
				ptrace(PTRACE_DETACH, pid, NULL, NULL);
				continue;
			}
		} else if (EVENT(status) == PTRACE_EVENT_STOP && stops(number)) {
			ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			continue;
		} else if (number == (SIGTRAP | 0x80)) {
			if (executed)
				at_call(pid, plan);
		} else if (EVENT(status) == 0) {
			deliver = number;
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)deliver);
	}
}

static int inject(struct plan *plan, char **command)
{
	int go[2];
	char byte = 0;
	if (pipe2(go, O_CLOEXEC) < 0)
		die("pipe2");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			die("the tracer");
		execvp(command[0], command);
		die(command[0]);
	}
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK |
	               PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0)
		die("ptrace");
	close(go[0]);
	/* It stops when it executes the command. */
	if (write(go[1], &byte, 1) != 1)
		die("write");
	return follow(pid, plan);
}

/* ---- limit ---- */

static _Noreturn void limit(int which, rlim_t value, uid_t user, char **command)
{
	struct rlimit both = {.rlim_cur = value, .rlim_max = value};
	if (setrlimit((__rlimit_resource_t)which, &both) < 0 || setgid(user) < 0 ||
	    setuid(user) < 0)
		die("limit");
	execvp(command[0], command);
	die(command[0]);
}

int main(int argc, char **argv)
{
	if (argc > 5 && strcmp(argv[1], "deny") == 0)
		deny(atoi(argv[2]), argv[3], argv + 5);
	if (argc > 6 && strcmp(argv[1], "limit") == 0)
		limit(atoi(argv[2]), strtoul(argv[3], NULL, 10), (uid_t)atoi(argv[4]), argv + 6);
	if (argc > 8 && strcmp(argv[1], "inject") == 0) {
		struct plan plan = {.number = atoi(argv[2]),
		                    .call = atol(argv[3]),
		                    .first = atol(argv[4]),
		                    .last = atol(argv[5]),
		                    .list = fopen(argv[6], "we")};
		if (plan.list == NULL)
			die(argv[6]);
		return inject(&plan, argv + 8);
	}
	fputs("usage: see fault.c\n", stderr);
	return 99;
}
