/* A PostgreSQL server for tests: makes a cluster in a temporary folder (initdb refuses root, so as
 * root it becomes `postgres` or `nobody`), runs it on a unix socket there and nowhere else, and
 * stops and removes it when stdin closes, so that nothing is ever left running.
 *
 *     postgres [-c NAME=VALUE]…        (settings of the server)
 *
 * Prints "FOLDER" in the first line once the server is ready (host=FOLDER user=leat dbname=leat)
 * and answers each line of stdin with "ok" when it is done:
 *     fast       stops it as `pg_ctl -m fast` does         immediate  … as `-m immediate`
 *     start      starts it again                           restart    fast and start
 *     begin      starts it without waiting until it is ready
 * The server's log is FOLDER/log. Exits with 77 where PostgreSQL is not installed. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MOST 64
#define START_PATIENCE 60000 /* milliseconds */

static char folder[128];
static char data[160];
static char binaries[256];
static struct passwd *user; /* NULL: as we are */
static pid_t server;
static char *settings[ARGUMENTS_MOST];
static int setting_count;

static void die(const char *what)
{
    fprintf(stderr, "test server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int entry_remove(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void binaries_find(void)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0) {
        fprintf(stderr, "test server: PostgreSQL is not installed (Debian: postgresql)\n");
        exit(77);
    }
    const char *newest = found.gl_pathv[found.gl_pathc - 1];
    snprintf(binaries, sizeof(binaries), "%.*s", (int)(strlen(newest) - strlen("/initdb")), newest);
    globfree(&found);
}

/* In the child: an ordinary user, killed with us, its chatter in the log. */
static void child_run(char *const *arguments, const char *log)
{
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (user && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        die("cannot become an ordinary user");
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || dup2(in, 0) < 0 || chdir(folder) != 0)
        die("cannot prepare a child");
    setsid();
    execv(arguments[0], arguments);
    die(arguments[0]);
}

static pid_t child_start(char *const *arguments)
{
    char log[160];
    snprintf(log, sizeof(log), "%s/log", folder);
    pid_t child = fork();
    if (child < 0)
        die("cannot fork");
    if (child == 0)
        child_run(arguments, log);
    return child;
}

static void cluster_make(void)
{
    char program[300];
    snprintf(program, sizeof(program), "%s/initdb", binaries);
    char *arguments[] = {program,           "-D",         data, "-U", "leat", "-A", "trust",
                         "--encoding=UTF8", "--locale=C", "-N", NULL};
    int status;
    pid_t child = child_start(arguments);
    if (waitpid(child, &status, 0) != child || status != 0)
        die("initdb failed");
}

/* The eighth line of postmaster.pid says how far it is. */
static int is_ready(void)
{
    char path[200], line[128] = "";
    snprintf(path, sizeof(path), "%s/postmaster.pid", data);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    int number = 0;
    long pid = 0;
    while (number < 8 && fgets(line, sizeof(line), file))
        if (++number == 1)
            pid = strtol(line, NULL, 10);
    fclose(file);
    return number == 8 && pid == server && strncmp(line, "ready", 5) == 0;
}

static void server_begin(void)
{
    char program[300];
    char *arguments[ARGUMENTS_MOST + 32];
    char *fixed[] = {program,
                     "-D",
                     data,
                     "-k",
                     folder,
                     "-c",
                     "listen_addresses=",
                     "-c",
                     "fsync=off",
                     "-c",
                     "full_page_writes=off",
                     "-c",
                     "shared_buffers=64MB",
                     "-c",
                     "max_connections=40",
                     "-c",
                     "autovacuum=off"};
    int count = 0;
    snprintf(program, sizeof(program), "%s/postgres", binaries);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        arguments[count++] = fixed[i];
    for (int i = 0; i < setting_count; i++)
        arguments[count++] = settings[i];
    arguments[count] = NULL;
    server = child_start(arguments);
}

static void ready_wait(void)
{
    for (int waited = 0; waited < START_PATIENCE; waited += 10) {
        if (is_ready())
            return;
        if (waitpid(server, NULL, WNOHANG) == server)
            break;
        (void)poll(NULL, 0, 10);
    }
    fprintf(stderr, "test server: it does not start; see %s/log\n", folder);
    exit(1);
}

static void server_stop(int signal)
{
    if (server <= 0)
        return;
    kill(server, signal);
    while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
        ;
    server = 0;
}

static void database_make(void)
{
    char program[300];
    snprintf(program, sizeof(program), "%s/createdb", binaries);
    char *arguments[] = {program, "-h", folder, "-U", "leat", "leat", NULL};
    int status;
    pid_t child = child_start(arguments);
    if (waitpid(child, &status, 0) != child || status != 0)
        die("createdb failed");
}

static void folder_make(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/leat-postgres-XXXXXX",
             temporary && strlen(temporary) < 60 ? temporary : "/tmp");
    if (!mkdtemp(folder))
        die(folder);
    snprintf(data, sizeof(data), "%s/data", folder);
    if (geteuid() == 0) {
        user = getpwnam("postgres");
        if (!user)
            user = getpwnam("nobody");
        if (!user || chown(folder, user->pw_uid, user->pw_gid) != 0)
            die("no ordinary user to run as");
    }
    chmod(folder, 0755);
}

static void command_run(const char *line)
{
    if (strncmp(line, "fast", 4) == 0 || strncmp(line, "restart", 7) == 0)
        server_stop(SIGINT);
    if (strncmp(line, "immediate", 9) == 0)
        server_stop(SIGQUIT);
    if (strncmp(line, "start", 5) == 0 || strncmp(line, "restart", 7) == 0) {
        server_begin();
        ready_wait();
    }
    if (strncmp(line, "begin", 5) == 0)
        server_begin();
    printf("ok\n");
    fflush(stdout);
}

int main(int count, char **arguments)
{
    char line[64];
    for (int i = 1; i < count && setting_count < ARGUMENTS_MOST; i++)
        settings[setting_count++] = arguments[i];
    signal(SIGINT, SIG_IGN); /* stdin closes when who started us ends */
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    binaries_find();
    folder_make();
    cluster_make();
    server_begin();
    ready_wait();
    database_make();
    printf("%s\n", folder);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin))
        command_run(line);
    server_stop(SIGQUIT);
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
