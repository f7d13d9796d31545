/* libzmq 4.3, as its manual says: cc -O2 zeromq.c -lzmq */
#include "measure.h"
#include <pthread.h>
#include <zmq.h>

static void *context, *end;
static char *body;
static size_t size;

static void check(int result, const char *what) {
    if (result < 0) fail(what, zmq_strerror(zmq_errno()));
}

static void *open_end(int kind) {
    int queue = 1000;
    void *opened = zmq_socket(context, kind);
    zmq_setsockopt(opened, ZMQ_SNDHWM, &queue, sizeof queue);
    zmq_setsockopt(opened, ZMQ_RCVHWM, &queue, sizeof queue);
    return opened;
}

static void receive(void) { check(zmq_recv(end, body, size, 0), "zmq_recv"); }

static void ask(void) {
    check(zmq_send(end, body, size, 0), "zmq_send");
    receive();
}

_Noreturn static void *flood(void *address) {
    void *push = open_end(ZMQ_PUSH);
    char *own = calloc(1, size);
    check(zmq_connect(push, address), "zmq_connect");
    for (;;) check(zmq_send(push, own, size, 0), "zmq_send");
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "ROLE ADDRESS SIZE SECONDS CPU");
    const char *role = argv[1], *address = argv[2];
    double seconds = atof(argv[4]);
    size = atol(argv[3]);
    body = calloc(1, size);
    pin(argv[5]);
    context = zmq_ctx_new();
    if (!strcmp(role, "push")) flood(argv[2]);
    if (!strcmp(role, "req")) {
        end = open_end(ZMQ_REQ);
        check(zmq_connect(end, address), "zmq_connect");
        time_each(ask, seconds);
    }
    end = open_end(strcmp(role, "rep") ? ZMQ_PULL : ZMQ_REP);
    check(zmq_bind(end, address), "zmq_bind");
    say_ready();
    if (!strcmp(role, "threads")) {
        pthread_t other;
        pthread_create(&other, NULL, flood, argv[2]);
    }
    if (strcmp(role, "rep")) count(receive, seconds);
    for (;;) {
        receive();
        check(zmq_send(end, body, size, 0), "zmq_send");
    }
}
