/* Fails the k-th file or network operation of a process, as a disk, a server or the power would.
 *
 * Preloaded with LD_PRELOAD, so it stands between the program (and SQLite, and PostgreSQL's own
 * processes) and the C library. What to do is read from a file that the test maps as well; only
 * operations on paths below `prefix` and on sockets of PostgreSQL are counted. After the method of
 * SQLite's own tests (sqlite.org/testing.html, anomaly testing).
 *
 * It also records: each operation that changes a file or a folder, each sync and each message to
 * PostgreSQL, in the order in which they were done, with the bytes (trace.py reads it).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
    int64_t recording;  /* whether operations are recorded */
    char prefix[512];   /* folder whose files are counted */
    char avoid[512];    /* folder below it whose files are not */
};

static struct plan *plan;
static char record_path[4096]; /* beside the plan */
static unsigned char kind[65536]; /* of each descriptor: 0 not ours, else a class */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_PLAN");
    if (!path) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) plan = map;
    syscall(SYS_close, fd);
    strncpy(record_path, path, sizeof record_path - 8);
    strcat(record_path, ".trace");
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

/* --- the record ------------------------------------------------------------------------- */

struct event {
    int64_t what;  /* a letter */
    int64_t inode; /* of the file or folder */
    int64_t at;    /* offset, size or flags */
    int64_t sizes[3]; /* of path, to, data, which follow */
};

static int turn; /* one operation at a time, so that the order is that of the record */

static int begin_turn(void) {
    if (!plan || !plan->recording) return 0;
    while (__atomic_exchange_n(&turn, 1, __ATOMIC_ACQUIRE)) sched_yield();
    return 1;
}
static void end_turn(int mine) { if (mine) __atomic_store_n(&turn, 0, __ATOMIC_RELEASE); }

static int64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? -1 : (int64_t)found.st_ino;
}

static void note(char what, int64_t inode, int64_t at, const char *path, const char *to,
                 const void *data, size_t n) {
    struct event e = {what, inode, at, {strlen(path), strlen(to), (int64_t)n}};
    struct iovec parts[] = {{&e, sizeof e}, {(void *)path, strlen(path)},
                            {(void *)to, strlen(to)}, {(void *)data, n}};
    int saved = errno;
    int fd = syscall(SYS_openat, AT_FDCWD, record_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    size_t size = sizeof e + strlen(path) + strlen(to) + n;
    if (fd < 0 || syscall(SYS_writev, fd, parts, 4) != (long)size) abort();
    syscall(SYS_close, fd);
    errno = saved;
}

/* --- names ------------------------------------------------------------------------------ */

static int opened(int fd, const char *path, int flags, int recorded) {
    mark(fd, ours(path) ? WRITES : 0);
    if (recorded && fd >= 0 && kind_of(fd)) note('O', inode_of(fd), flags & O_TRUNC, path, "", "", 0);
    end_turn(recorded);
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
        int recorded = begin_turn(); \
        return opened(real(path, flags, mode), path, flags, recorded); \
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
        int recorded = begin_turn(); \
        return opened(real(at, path, flags, mode), path, flags, recorded); \
    }
OPENAT(openat)
OPENAT(openat64)

#define NAME(what, name, path, to, call, ...) \
    int name(__VA_ARGS__) { \
        REAL(name); \
        if (!ours(path)) return call; \
        if (fails(WRITES)) return -1; \
        int recorded = begin_turn(); \
        int done = call; \
        if (recorded && !done) note(what, 0, 0, path, to, "", 0); \
        end_turn(recorded); \
        return done; \
    }
NAME('R', rename, to, from, real(from, to), const char *from, const char *to)
NAME('R', renameat, to, from, real(a, from, b, to), int a, const char *from, int b, const char *to)
NAME('L', link, to, from, real(from, to), const char *from, const char *to)
NAME('U', unlink, path, "", real(path), const char *path)
NAME('U', unlinkat, path, "", real(at, path, flags), int at, const char *path, int flags)
NAME('U', rmdir, path, "", real(path), const char *path)
NAME('M', mkdir, path, "", real(path, mode), const char *path, mode_t mode)
NAME('M', mkdirat, path, "", real(at, path, mode), int at, const char *path, mode_t mode)

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

static void wrote(int fd, int class, const struct iovec *parts, int n, off_t at, ssize_t done) {
    if (class == NETWORK) at = 0;
    else if (at < 0) at = lseek(fd, 0, SEEK_CUR) - done;
    for (int i = 0; i < n && done > 0; i++) {
        ssize_t size = (ssize_t)parts[i].iov_len < done ? (ssize_t)parts[i].iov_len : done;
        note(class == NETWORK ? 'S' : 'W', inode_of(fd), at, "", "", parts[i].iov_base, size);
        at += size;
        done -= size;
    }
}

#define HALF(size) ((size) / 2)
#define WRITE(name, call, half, parts, count, at, ...) \
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
        int recorded = class ? begin_turn() : 0; \
        ssize_t done = call; \
        if (recorded && done > 0) wrote(fd, class, parts, count, at, done); \
        end_turn(recorded); \
        return done; \
    }
#define PLAIN(name, call, half, at, ...) \
    WRITE(name, call, half, (&(const struct iovec){(void *)data, n}), 1, at, __VA_ARGS__)
PLAIN(write, real(fd, data, n), (void)!real(fd, data, HALF(n)), -1,
      int fd, const void *data, size_t n)
PLAIN(pwrite, real(fd, data, n, at), (void)!real(fd, data, HALF(n), at), at,
      int fd, const void *data, size_t n, off_t at)
PLAIN(pwrite64, real(fd, data, n, at), (void)!real(fd, data, HALF(n), at), at,
      int fd, const void *data, size_t n, off64_t at)
WRITE(writev, real(fd, parts, n), (void)!real(fd, parts, HALF(n)), parts, n, -1,
      int fd, const struct iovec *parts, int n)
WRITE(pwritev, real(fd, parts, n, at), (void)!real(fd, parts, HALF(n), at), parts, n, at,
      int fd, const struct iovec *parts, int n, off_t at)
PLAIN(send, real(fd, data, n, flags), (void)!real(fd, data, HALF(n), flags), -1,
      int fd, const void *data, size_t n, int flags)
PLAIN(sendto, real(fd, data, n, flags, to, size),
      (void)!real(fd, data, HALF(n), flags, to, size), -1,
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

#define SYNC(what, name, size, call, ...) \
    int name(__VA_ARGS__) { \
        REAL(name); \
        if (class_of(fd, WRITES) != WRITES) return call; \
        if (fails(WRITES)) return -1; \
        int recorded = begin_turn(); \
        int done = call; \
        if (recorded && !done) note(what, inode_of(fd), size, "", "", "", 0); \
        end_turn(recorded); \
        return done; \
    }
SYNC('F', fsync, 0, real(fd), int fd)
SYNC('F', fdatasync, 0, real(fd), int fd)
SYNC('T', ftruncate, size, real(fd, size), int fd, off_t size)
SYNC('T', ftruncate64, size, real(fd, size), int fd, off64_t size)

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    REAL(connect);
    int done = real(fd, to, size);
    if (plan && to->sa_family == AF_UNIX &&
        strstr(((const struct sockaddr_un *)to)->sun_path, ".s.PGSQL."))
        mark(fd, NETWORK);
    return done;
}
