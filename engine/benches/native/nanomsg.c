/* nanomsg 1.1, as its manual says: cc -O2 nanomsg.c -lnanomsg */
#include "measure.h"
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <pthread.h>

static int end;
static char *body;
static size_t size;

static int check(int result, const char *what) {
    if (result < 0) fail(what, nn_strerror(nn_errno()));
    return result;
}

static int open_end(int kind) {
    int yes = 1, opened = check(nn_socket(AF_SP, kind), "nn_socket");
    nn_setsockopt(opened, NN_TCP, NN_TCP_NODELAY, &yes, sizeof yes);
    return opened;
}

static void receive(void) { check(nn_recv(end, body, size, 0), "nn_recv"); }

static void ask(void) {
    check(nn_send(end, body, size, 0), "nn_send");
    receive();
}

_Noreturn static void *flood(void *address) {
    int push = open_end(NN_PUSH);
    char *own = calloc(1, size);
    check(nn_connect(push, address), "nn_connect");
    for (;;) check(nn_send(push, own, size, 0), "nn_send");
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "ROLE ADDRESS SIZE SECONDS CPU");
    const char *role = argv[1], *address = argv[2];
    double seconds = atof(argv[4]);
    size = atol(argv[3]);
    body = calloc(1, size);
    pin(argv[5]);
    if (!strcmp(role, "push")) flood(argv[2]);
    if (!strcmp(role, "req")) {
        end = open_end(NN_REQ);
        check(nn_connect(end, address), "nn_connect");
        time_each(ask, seconds);
    }
    end = open_end(strcmp(role, "rep") ? NN_PULL : NN_REP);
    check(nn_bind(end, address), "nn_bind");
    say_ready();
    if (!strcmp(role, "threads")) {
        pthread_t other;
        pthread_create(&other, NULL, flood, argv[2]);
    }
    if (strcmp(role, "rep")) count(receive, seconds);
    for (;;) {
        receive();
        check(nn_send(end, body, size, 0), "nn_send");
    }
}
