#include "lib/http/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct metric_definition definitions[PROCESS_METRIC_COUNT] = {
        [PROCESS_CPU_SECONDS] = {.type = METRIC_COUNTER,
                                 .name = "process_cpu_seconds_total",
                                 .help = "User and system CPU time spent."},
        [PROCESS_RESIDENT_MEMORY] = {.type = METRIC_GAUGE,
                                     .name = "process_resident_memory_bytes",
                                     .help = "Resident memory."},
        [PROCESS_OPEN_FDS] = {.type = METRIC_GAUGE,
                              .name = "process_open_fds",
                              .help = "Open file descriptors."},
        [PROCESS_MAX_FDS] = {.type = METRIC_GAUGE,
                             .name = "process_max_fds",
                             .help = "The most file descriptors that may be open."},
        [PROCESS_START_TIME] = {.type = METRIC_GAUGE,
                                .name = "process_start_time_seconds",
                                .help = "When the process started, since 1970."},
};

static double seconds_of(clockid_t clock)
{
	struct timespec now;
	return clock_gettime(clock, &now) != 0 ? 0 : (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void process_metrics_add(struct process_metrics *process, struct metrics *registry)
{
	for (size_t i = 0; i < PROCESS_METRIC_COUNT; i++)
		process->families[i] = metrics_add(registry, &definitions[i]);
	process->booted_at = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
}

static void set(struct process_metrics *process, enum process_metric which, double value)
{
	static const char *const none[] = {NULL};
	metric_set(metric_get(process->families[which], none), value);
}

/* The field of that number in /proc/self/stat, of which fields is the rest after the name in
 * parentheses, the second one. NULL: there is none. */
static const char *find_field(const char *fields, unsigned number)
{
	for (unsigned i = 2; i < number && fields != NULL; i++)
		if ((fields = strchr(fields, ' ')) != NULL)
			fields++;
	return fields;
}

/* User and system time (fields 14, 15) and the start after boot (22) in clock ticks; resident pages
 * (24). */
static void update_stat(struct process_metrics *process)
{
	char text[1024];
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
	double ticks = (double)sysconf(_SC_CLK_TCK);
	if (file >= 0)
		close(file);
	if (length <= 0)
		return;
	text[length] = '\0';
	const char *fields = strrchr(text, ')');
	const char *pages = find_field(fields, 24);
	if (pages == NULL)
		return;
	double used = strtod(find_field(fields, 14), NULL) + strtod(find_field(fields, 15), NULL);
	double start = strtod(find_field(fields, 22), NULL);
	set(process, PROCESS_CPU_SECONDS, used / ticks);
	set(process, PROCESS_RESIDENT_MEMORY, strtod(pages, NULL) * (double)sysconf(_SC_PAGESIZE));
	set(process, PROCESS_START_TIME, process->booted_at + start / ticks);
}

static void update_files(struct process_metrics *process)
{
	struct rlimit limit;
	DIR *files = opendir("/proc/self/fd");
	size_t count = 0;
	if (files != NULL) {
		for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
			count += entry->d_name[0] != '.';
		closedir(files);
		set(process, PROCESS_OPEN_FDS, (double)(count - 1)); /* but for that of the loop */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		set(process, PROCESS_MAX_FDS, (double)limit.rlim_cur);
}

void process_metrics_update(struct process_metrics *process)
{
	update_stat(process);
	update_files(process);
}
