/* One measurement of SQLite. The same source runs in both guests of `cargo unibody bench sqlite`:
 *
 *   sqlite speedtest PATH SIZE          SQLite's own speedtest1 (its main is renamed when it is compiled)
 *   sqlite commits PATH N JOURNAL       N one-row transactions, each durable (synchronous=FULL)
 *
 * Lines that begin with "bench:" are for the bench. At `begin` and `end` it reads its counters and answers with a line. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int speedtest1_main(int argc, char **argv);

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void gate(const char *word)
{
    char line[80];
    printf("bench: %s\n", word);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(3);
}

static int print_row(void *name, int n, char **value, char **column)
{
    (void)column;
    printf("bench: %s=%s\n", (const char *)name, n && value[0] ? value[0] : "");
    return 0;
}

static void run(sqlite3 *db, const char *sql, const char *print)
{
    char *error = 0;
    if (sqlite3_exec(db, sql, print ? print_row : 0, (void *)print, &error)) {
        printf("bench: error=%s: %s\n", sql, error ? error : sqlite3_errmsg(db));
        exit(1);
    }
}

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db)) {
        printf("bench: error=%s: %s\n", path, sqlite3_errmsg(db));
        exit(1);
    }
    return db;
}

static void check(const char *path)
{
    sqlite3 *db = open_database(path);
    run(db, "PRAGMA integrity_check", "integrity");
    sqlite3_close(db);
}

static void commits(const char *path, int n, const char *journal)
{
    char sql[200];
    sqlite3 *db = open_database(path);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", journal);
    run(db, sql, "journal");
    run(db, "PRAGMA synchronous=FULL; CREATE TABLE t(a, b); INSERT INTO t VALUES(0, 'the first one')", 0);
    run(db, "PRAGMA synchronous", "synchronous");
    gate("begin");
    long long start = now();
    for (int i = 1; i <= n; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d, 'some text of a usual length')", i * 7919);
        run(db, sql, 0);
    }
    long long end = now();
    gate("end");
    printf("bench: ns=%lld\n", end - start);
    if (sqlite3_close(db)) {
        puts("bench: error=close");
        exit(1);
    }
    db = open_database(path);
    run(db, "SELECT count(*) FROM t", "rows");
    run(db, "SELECT sum(a) FROM t", "sum");
    sqlite3_close(db);
    check(path);
}

static void speedtest(char *path, char *size)
{
    char *argv[] = {"speedtest1", "--verify", "--size", size, path, 0};
    gate("begin");
    long long start = now();
    int status = speedtest1_main(5, argv);
    long long end = now();
    fflush(stdout);
    gate("end");
    printf("bench: ns=%lld\nbench: status=%d\n", end - start, status);
    check(path);
}

int main(int argc, char **argv)
{
    sqlite3 *db = open_database(":memory:");
    printf("bench: version=%s\n", sqlite3_libversion());
    run(db, "PRAGMA compile_options", "option");
    sqlite3_close(db);
    if (argc == 4 && !strcmp(argv[1], "speedtest"))
        speedtest(argv[2], argv[3]);
    else if (argc == 5 && !strcmp(argv[1], "commits"))
        commits(argv[2], atoi(argv[3]), argv[4]);
    else
        return 2;
    puts("bench: done");
    return 0;
}
