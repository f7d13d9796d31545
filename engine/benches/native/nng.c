/* NNG 1.5, as its manual says: cc -O2 nng.c -lnng */
#include "measure.h"
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>

static nng_socket end;
static char *body;
static size_t size;

static void check(int result, const char *what) {
    if (result) fail(what, nng_strerror(result));
}

static void receive(void) {
    size_t room = size;
    check(nng_recv(end, body, &room, 0), "nng_recv");
}

static void ask(void) {
    check(nng_send(end, body, size, 0), "nng_send");
    receive();
}

_Noreturn static void *flood(void *address) {
    nng_socket push;
    char *own = calloc(1, size);
    check(nng_push0_open(&push), "nng_push0_open");
    nng_socket_set_int(push, NNG_OPT_SENDBUF, 1000);
    check(nng_dial(push, address, NULL, 0), "nng_dial");
    for (;;) check(nng_send(push, own, size, 0), "nng_send");
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
        check(nng_req0_open(&end), "nng_req0_open");
        check(nng_dial(end, address, NULL, 0), "nng_dial");
        time_each(ask, seconds);
    }
    check(strcmp(role, "rep") ? nng_pull0_open(&end) : nng_rep0_open(&end), "open");
    if (strcmp(role, "rep")) nng_socket_set_int(end, NNG_OPT_RECVBUF, 1000);
    check(nng_listen(end, address, NULL, 0), "nng_listen");
    say_ready();
    if (!strcmp(role, "threads")) {
        pthread_t other;
        pthread_create(&other, NULL, flood, argv[2]);
    }
    if (strcmp(role, "rep")) count(receive, seconds);
    for (;;) {
        receive();
        check(nng_send(end, body, size, 0), "nng_send");
    }
}
