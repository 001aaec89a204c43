#include "cli/interrupt.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

bool interrupt_begin(struct interrupt *interrupt, struct error *error)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t taken;
	sigset_t blocked;
	sigemptyset(&taken);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		struct sigaction action;
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&taken, numbers[i]);
	}
	int file = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (file < 0)
		return error_set_errno(error, errno, "making a signalfd");
	blocked = taken;
	sigaddset(&blocked, SIGPIPE);
	interrupt->file = file;
	sigprocmask(SIG_BLOCK, &blocked, &interrupt->before);
	return true;
}

void interrupt_poll(const struct interrupt *interrupt, struct pollfd ret_files[INTERRUPT_FILES])
{
	ret_files[0] =
	        (struct pollfd){.fd = interrupt == NULL ? -1 : interrupt->file, .events = POLLIN};
	/* Without events poll() tells only of a reader that is gone. */
	ret_files[1] = (struct pollfd){.fd = interrupt == NULL ? -1 : STDOUT_FILENO};
}

bool interrupt_came(const struct pollfd files[INTERRUPT_FILES])
{
	return files[0].revents != 0 || (files[1].revents & (POLLERR | POLLHUP)) != 0;
}

bool interrupt_wait(const struct interrupt *interrupt, int milliseconds)
{
	struct pollfd files[INTERRUPT_FILES];
	interrupt_poll(interrupt, files);
	return poll(files, INTERRUPT_FILES, milliseconds) > 0 && interrupt_came(files);
}
