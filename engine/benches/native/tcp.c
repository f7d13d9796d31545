/* Plain TCP, the wall: a stream in writes of 64 KiB, counted as if it were messages; and a blocking or, with the role
 * `spin`, a spinning exchange. cc -O2 tcp.c */
#include "measure.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (64 << 10)

static int end, flags;
static char piece[PIECE];
static size_t size, kept;

static void receive(void) {
    while (kept < size) {
        ssize_t got = recv(end, piece, sizeof piece, 0);
        if (got <= 0) fail("recv", "the other end has gone");
        kept += got;
    }
    kept -= size;
}

static void exchange(void) {
    if (send(end, piece, size, 0) != (ssize_t)size) fail("send", "not whole");
    for (size_t got = 0; got < size;) {
        ssize_t more = recv(end, piece, size - got, flags);
        if (more > 0) got += more;
    }
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "ROLE ADDRESS SIZE SECONDS CPU");
    const char *role = argv[1];
    int yes = 1, listens = !strcmp(role, "pull") || !strncmp(role, "rep", 3);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    place.sin_port = htons(atoi(strrchr(argv[2], ':') + 1));
    size = atol(argv[3]);
    pin(argv[5]);
    end = socket(AF_INET, SOCK_STREAM, 0);
    if (listens) {
        int listener = end;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener, (void *)&place, sizeof place) || listen(listener, 1)) fail("listen", "the port is taken");
        say_ready();
        end = accept(listener, NULL, NULL);
    } else if (connect(end, (void *)&place, sizeof place)) {
        fail("connect", "nobody listens there");
    }
    setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    flags = strstr(role, "spin") ? MSG_DONTWAIT : 0;
    if (!strcmp(role, "pull")) count(receive, atof(argv[4]));
    if (!strcmp(role, "push"))
        while (send(end, piece, sizeof piece, 0) > 0) {}
    if (!strncmp(role, "req", 3)) time_each(exchange, atof(argv[4]));
    for (;;) {
        for (size_t got = 0; got < size;) {
            ssize_t more = recv(end, piece, size - got, flags);
            if (more == 0) return 0;
            if (more > 0) got += more;
        }
        send(end, piece, size, 0);
    }
}
