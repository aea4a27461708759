/* Fails the k-th file or network operation of a process, as a disk, a server or the power would.
 *
 * Preloaded with LD_PRELOAD, so it stands between the program (and SQLite, and PostgreSQL's own
 * processes) and the C library. What to do is read from a file that the test maps as well; only
 * operations on paths below `prefix` and on sockets of PostgreSQL are counted. After the method of
 * SQLite's own tests (sqlite.org/testing.html, anomaly testing).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { WRITES = 1, READS = 2, NETWORK = 4 };
enum { KILL = 1, TORN = 2, FAIL = 3 };

struct plan {
    int64_t count;      /* operations so far */
    int64_t at;         /* the one to fail; 0 none */
    int64_t action;     /* KILL, TORN (half of a write, then KILL), FAIL */
    int64_t error;      /* errno of FAIL */
    int64_t lasting;    /* whether all later ones fail too */
    int64_t classes;    /* which are counted */
    int64_t fired;      /* how many were failed */
    char prefix[512];   /* folder whose files are counted */
    char avoid[512];    /* folder below it whose files are not */
};

static struct plan *plan;
static unsigned char kind[65536]; /* of each descriptor: 0 not ours, else a class */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_PLAN");
    if (!path) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) plan = map;
    syscall(SYS_close, fd);
}

static int below(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static int ours(const char *path) {
    char full[4096];
    if (!plan || !path) return 0;
    if (path[0] != '/') {
        if (syscall(SYS_getcwd, full, sizeof full - 2) < 0) return 0;
        size_t n = strlen(full);
        full[n] = '/';
        strncpy(full + n + 1, path, sizeof full - n - 2);
        full[sizeof full - 1] = 0;
        path = full;
    }
    return below(path, plan->prefix) && !below(path, plan->avoid);
}

/* 0 to go on, KILL never returns, otherwise the action. */
static int due(int class) {
    if (!plan || !(plan->classes & class)) return 0;
    int64_t n = __atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST);
    if (plan->at == 0 || (plan->lasting ? n < plan->at : n != plan->at)) return 0;
    __atomic_add_fetch(&plan->fired, 1, __ATOMIC_SEQ_CST);
    if (plan->action == KILL) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    return (int)plan->action;
}

static int fails(int class) {
    int action = due(class);
    if (action == TORN) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    if (action == FAIL) errno = (int)plan->error;
    return action == FAIL;
}

static unsigned char kind_of(int fd) { return fd >= 0 && fd < 65536 ? kind[fd] : 0; }
static void mark(int fd, unsigned char k) { if (fd >= 0 && fd < 65536) kind[fd] = k; }

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* --- names ------------------------------------------------------------------------------ */

static int opened(int fd, const char *path) {
    mark(fd, ours(path) ? WRITES : 0);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); \
        } \
        if ((flags & (O_CREAT | O_TRUNC)) && ours(path) && fails(WRITES)) return -1; \
        return opened(real(path, flags, mode), path); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); \
        } \
        if ((flags & (O_CREAT | O_TRUNC)) && ours(path) && fails(WRITES)) return -1; \
        return opened(real(at, path, flags, mode), path); \
    }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
    REAL(rename);
    return ours(to) && fails(WRITES) ? -1 : real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    return ours(to) && fails(WRITES) ? -1 : real(a, from, b, to);
}
int unlink(const char *path) {
    REAL(unlink);
    return ours(path) && fails(WRITES) ? -1 : real(path);
}
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    return ours(path) && fails(WRITES) ? -1 : real(at, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return ours(path) && fails(WRITES) ? -1 : real(path, mode);
}
int mkdirat(int at, const char *path, mode_t mode) {
    REAL(mkdirat);
    return ours(path) && fails(WRITES) ? -1 : real(at, path, mode);
}
int link(const char *from, const char *to) {
    REAL(link);
    return ours(to) && fails(WRITES) ? -1 : real(from, to);
}

/* --- descriptors ------------------------------------------------------------------------ */

int close(int fd) {
    REAL(close);
    mark(fd, 0);
    return real(fd);
}

static int class_of(int fd, int file) {
    unsigned char k = kind_of(fd);
    return k == NETWORK ? NETWORK : k ? file : 0;
}

#define HALF(size) ((size) / 2)
#define WRITE(name, call, half, ...) \
    ssize_t name(__VA_ARGS__) { \
        REAL(name); \
        int class = class_of(fd, WRITES); \
        int action = class ? due(class) : 0; \
        if (action == TORN) { half; syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause(); } \
        if (action == FAIL) { \
            if (class == NETWORK) shutdown(fd, SHUT_RDWR); \
            errno = (int)plan->error; \
            return -1; \
        } \
        return call; \
    }
WRITE(write, real(fd, data, n), (void)!real(fd, data, HALF(n)), int fd, const void *data, size_t n)
WRITE(pwrite, real(fd, data, n, at), (void)!real(fd, data, HALF(n), at),
      int fd, const void *data, size_t n, off_t at)
WRITE(pwrite64, real(fd, data, n, at), (void)!real(fd, data, HALF(n), at),
      int fd, const void *data, size_t n, off64_t at)
WRITE(writev, real(fd, parts, n), (void)!real(fd, parts, HALF(n)),
      int fd, const struct iovec *parts, int n)
WRITE(pwritev, real(fd, parts, n, at), (void)!real(fd, parts, HALF(n), at),
      int fd, const struct iovec *parts, int n, off_t at)
WRITE(send, real(fd, data, n, flags), (void)!real(fd, data, HALF(n), flags),
      int fd, const void *data, size_t n, int flags)
WRITE(sendto, real(fd, data, n, flags, to, size), (void)!real(fd, data, HALF(n), flags, to, size),
      int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t size)

#define READ(name, call, ...) \
    ssize_t name(__VA_ARGS__) { \
        REAL(name); \
        int class = class_of(fd, READS); \
        if (class && fails(class)) { if (class == NETWORK) shutdown(fd, SHUT_RDWR); return -1; } \
        return call; \
    }
READ(read, real(fd, data, n), int fd, void *data, size_t n)
READ(pread, real(fd, data, n, at), int fd, void *data, size_t n, off_t at)
READ(pread64, real(fd, data, n, at), int fd, void *data, size_t n, off64_t at)
READ(recv, real(fd, data, n, flags), int fd, void *data, size_t n, int flags)

#define SYNC(name, ...) \
    int name(int fd __VA_OPT__(, off_t size)) { \
        REAL(name); \
        return class_of(fd, WRITES) == WRITES && fails(WRITES) ? -1 \
            : real(fd __VA_OPT__(, size)); \
    }
SYNC(fsync)
SYNC(fdatasync)
SYNC(ftruncate, size)

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return class_of(fd, WRITES) == WRITES && fails(WRITES) ? -1 : real(fd, size);
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    REAL(connect);
    int done = real(fd, to, size);
    if (plan && to->sa_family == AF_UNIX &&
        strstr(((const struct sockaddr_un *)to)->sun_path, ".s.PGSQL."))
        mark(fd, NETWORK);
    return done;
}
