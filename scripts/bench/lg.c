// Load generator: one thread, epoll, HTTP/1.1 kept alive, plain or TLS. Prints one JSON line.
//
//   lg -p PORT [-u /path] [-c connections] [-r rate] [-d seconds] [-w warm-up seconds] [-n calls] [-b body file] [-k bearer key] [-H 'K: V']... [-t] [-l label]
//
// rate 0: closed loop (saturation), every connection calls as soon as it was answered. rate > 0: open loop, latency is counted from the time a call was
// scheduled for, so that a server which is late is not spared. -n ends it after so many calls. -t speaks TLS and believes any certificate.
// "CALLNUMBER" in the body becomes ten letters that no call of any run had before: whoever remembers texts meets new ones.
// At the end no call is begun any more and those under way are waited for (10 s): "total" are all calls answered, warm-up included, "lost" those that never
// were. "refused": answers other than 2xx within the time, and how long they took; "ok_rps": those with 2xx that came within the time, a second.
// "ttfb": the first byte of the answer. "chunk": the one-way delay of chunks of a stream, which carry "t":<CLOCK_MONOTONIC ns>.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

typedef unsigned long long u64;
typedef struct { unsigned *v; size_t n, cap; } times; // each 100 ns
typedef struct {
  int fd, busy, chunked, first_byte, want_out, closes;
  u64 scheduled, sent;
  char *request; size_t written;
  char *in; size_t length, capacity, scanned, head;
  long body;
#ifdef WITH_TLS
  SSL *ssl;
#endif
} connection;

#define MARK "CALLNUMBER"
#define MARK_LENGTH 10
enum { AGAIN = -1, ENDED = -2 };
static const u64 DRAIN_NS = 10000000000ull;

static int port, connections = 50, with_tls, poll_fd;
static double rate, seconds = 5, warm_up = 1;
static char *request; static size_t request_length, *marks, mark_count;
static u64 call_number, calls_max = ~0ull;
static times latency, first_bytes, chunk_delays, refused;
static u64 errors, reconnects, ok, not_ok;
#ifdef WITH_TLS
static SSL_CTX *context;
#endif

static u64 now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static void push(times *all, u64 ns) {
  if (all->n == all->cap) { all->cap = all->cap ? all->cap * 2 : 1 << 16; all->v = realloc(all->v, all->cap * sizeof *all->v); }
  all->v[all->n++] = (unsigned)(ns / 100);
}
static int compare(const void *a, const void *b) { unsigned x = *(unsigned *)a, y = *(unsigned *)b; return x < y ? -1 : x > y; }
static void sort(times *all) { qsort(all->v, all->n, sizeof *all->v, compare); }
static double percentile(times *all, double p) {
  if (!all->n) return 0;
  size_t i = (size_t)(p * all->n);
  return all->v[i >= all->n ? all->n - 1 : i] / 10.0;
}

static void watch(connection *c, int out, int how) {
  struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c };
  epoll_ctl(poll_fd, how, c->fd, &e);
  c->want_out = out;
}
static void open_connection(connection *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  if (c->fd < 0 || connect(c->fd, (void *)&address, sizeof address)) { perror("connect"); exit(2); }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->closes = 0;
#ifdef WITH_TLS
  if (with_tls) { c->ssl = SSL_new(context); SSL_set_fd(c->ssl, c->fd); SSL_set_connect_state(c->ssl); }
#endif
  watch(c, 0, EPOLL_CTL_ADD);
}
static void reopen(connection *c) {
#ifdef WITH_TLS
  if (c->ssl) { SSL_free(c->ssl); c->ssl = NULL; }
#endif
  close(c->fd);
  open_connection(c);
}

#ifdef WITH_TLS
static ssize_t tls_result(connection *c, int result) {
  if (result > 0) return result;
  int why = SSL_get_error(c->ssl, result);
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? AGAIN : ENDED;
}
#endif
static ssize_t put(connection *c, const char *bytes, size_t length) {
#ifdef WITH_TLS
  if (c->ssl) return tls_result(c, SSL_write(c->ssl, bytes, (int)length));
#endif
  ssize_t result = send(c->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return result > 0 ? result : errno == EAGAIN ? AGAIN : ENDED;
}
static ssize_t take(connection *c, char *bytes, size_t room) {
#ifdef WITH_TLS
  if (c->ssl) return tls_result(c, SSL_read(c->ssl, bytes, (int)room));
#endif
  ssize_t result = recv(c->fd, bytes, room, MSG_DONTWAIT);
  return result > 0 ? result : result < 0 && errno == EAGAIN ? AGAIN : ENDED;
}

// What cannot be written now is written when there is room. That the other side is gone, reading tells.
static void write_more(connection *c) {
  while (c->written < request_length) {
    ssize_t n = put(c, c->request + c->written, request_length - c->written);
    if (n < 0) break;
    c->written += n;
  }
  int out = c->written < request_length;
  if (out != c->want_out) watch(c, out, EPOLL_CTL_MOD);
}
static void number(connection *c) {
  char letters[MARK_LENGTH];
  u64 rest = call_number++;
  for (int i = MARK_LENGTH - 1; i >= 0; i--) { letters[i] = 'a' + rest % 26; rest /= 26; }
  for (size_t i = 0; i < mark_count; i++) memcpy(c->request + marks[i], letters, MARK_LENGTH);
}
static void start(connection *c, u64 scheduled) {
  if (mark_count) number(c);
  c->busy = 1; c->scheduled = scheduled; c->sent = now();
  c->length = c->head = c->scanned = c->written = 0; c->body = -1; c->chunked = 0; c->first_byte = 0;
  write_more(c);
}

static void read_head(connection *c) {
  char *end = memmem(c->in, c->length, "\r\n\r\n", 4);
  if (!end) return;
  c->head = end - c->in + 4;
  end[2] = 0;
  char *announced = strcasestr(c->in, "\r\ncontent-length:");
  if (announced) c->body = atol(announced + 17);
  else if (strcasestr(c->in, "\r\ntransfer-encoding: chunked")) c->chunked = 1;
  c->closes = strcasestr(c->in, "\r\nconnection: close") != NULL;
  end[2] = '\r';
  c->scanned = c->head;
}
static void read_stamps(connection *c, u64 at, u64 measured_from) {
  for (;;) {
    char *mark = memmem(c->in + c->scanned, c->length - c->scanned, "\"t\":", 4);
    char *end = mark ? memchr(mark, '}', c->in + c->length - mark) : NULL;
    if (!end) return;
    u64 stamped = strtoull(mark + 4, 0, 10);
    if (at >= measured_from && at > stamped) push(&chunk_delays, at - stamped);
    c->scanned = end - c->in;
  }
}
static int is_complete(connection *c) {
  if (!c->head) return 0;
  if (c->body >= 0) return (long)(c->length - c->head) >= c->body;
  return c->chunked && c->length - c->head >= 5 && !memcmp(c->in + c->length - 5, "0\r\n\r\n", 5);
}

static char *read_file(const char *name, size_t *length) {
  FILE *file = fopen(name, "rb");
  if (!file) { perror(name); exit(1); }
  fseek(file, 0, SEEK_END); *length = ftell(file); rewind(file);
  char *bytes = malloc(*length + 1);
  *length = fread(bytes, 1, *length, file);
  fclose(file);
  return bytes;
}
static void make_request(const char *path, const char *key, const char *headers, const char *body, size_t length) {
  request = malloc(length + 16384);
  request_length = snprintf(request, 16384,
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: application/json\r\nUser-Agent: OpenAI/JS 6.3.0\r\n"
    "x-stainless-retry-count: 0\r\nx-stainless-lang: js\r\nx-stainless-package-version: 6.3.0\r\nx-stainless-os: Linux\r\nx-stainless-arch: x64\r\n"
    "x-stainless-runtime: node\r\nx-stainless-runtime-version: v22.0.0\r\nAuthorization: Bearer %s\r\n%sContent-Length: %zu\r\n\r\n",
    path, port, key, headers, length);
  memcpy(request + request_length, body, length);
  request_length += length;
  size_t room = 0;
  for (char *at = request; (at = memmem(at, request + request_length - at, MARK, MARK_LENGTH)); at += MARK_LENGTH) {
    if (mark_count == room) { room = room ? room * 2 : 64; marks = realloc(marks, room * sizeof *marks); }
    marks[mark_count++] = at - request;
  }
}

static struct { u64 begins, measures, ends; } span;
static u64 answered, measured, ok_in_time;
static int draining, *idle, idle_count;

static void finish(connection *c, connection *all, u64 at) {
  int status = atoi(c->in + 9), is_ok = status >= 200 && status < 300;
  u64 took = at - (rate > 0 ? c->scheduled : c->sent);
  answered++;
  if (is_ok) { ok++; if (at >= span.measures && at < span.ends) ok_in_time++; }
  else if (!not_ok++) fprintf(stderr, "%.400s\n", c->in);
  if (!draining && (c->scheduled >= span.measures || (rate == 0 && at >= span.measures))) {
    measured++;
    push(&latency, took);
    if (!is_ok) push(&refused, took);
  }
  c->busy = 0;
  if (c->closes) reopen(c);
  if (answered >= calls_max) draining = 1;
  if (rate == 0 && !draining) start(c, at);
  else idle[idle_count++] = c - all;
}
// One that closes in the middle of a call makes an error, and the call begins again; one that closes between two is only opened again.
static void lost_connection(connection *c) {
  if (++reconnects > 100000) { fprintf(stderr, "too many reconnects\n"); exit(3); }
  int was_busy = c->busy;
  if (was_busy) errors++;
  reopen(c);
  if (was_busy) start(c, c->scheduled);
}
static void read_more(connection *c, connection *all) {
  for (;;) {
    if (c->capacity - c->length < 16384) { c->capacity *= 2; c->in = realloc(c->in, c->capacity + 1); }
    ssize_t n = take(c, c->in + c->length, c->capacity - c->length);
    u64 at = now();
    if (n == AGAIN) return;
    if (n == ENDED) { lost_connection(c); return; }
    if (!c->busy) return;
    if (!c->first_byte) {
      c->first_byte = 1;
      if (c->scheduled >= span.measures) push(&first_bytes, at - (rate > 0 ? c->scheduled : c->sent));
    }
    c->length += n;
    c->in[c->length] = 0;
    if (!c->head) read_head(c);
    if (c->head && c->chunked) read_stamps(c, at, span.measures);
    if (is_complete(c)) { finish(c, all, at); return; }
    if (!with_tls) return;
  }
}
// Begins what is due, and returns in how many nanoseconds the next call is.
static u64 start_due(connection *all, u64 *issued, u64 *backlog) {
  u64 target = (u64)((now() - span.begins) / 1e9 * rate);
  if (target - *issued > *backlog) *backlog = target - *issued;
  while (*issued < target && idle_count) start(&all[idle[--idle_count]], span.begins + (u64)(++*issued / rate * 1e9));
  if (*issued < target) return 1000000;
  u64 next = span.begins + (u64)((*issued + 1) / rate * 1e9), at = now();
  return next > at ? next - at : 0;
}

int main(int argc, char **argv) {
  char *path = "/v1/chat/completions", *body_file = NULL, *key = "sk-bench", *label = "", headers[8192] = "";
  int option;
  while ((option = getopt(argc, argv, "p:u:c:r:d:w:n:b:k:H:tl:")) > 0) switch (option) {
    case 'p': port = atoi(optarg); break;
    case 'u': path = optarg; break;
    case 'c': connections = atoi(optarg); break;
    case 'r': rate = atof(optarg); break;
    case 'd': seconds = atof(optarg); break;
    case 'w': warm_up = atof(optarg); break;
    case 'n': calls_max = strtoull(optarg, 0, 10); break;
    case 'b': body_file = optarg; break;
    case 'k': key = optarg; break;
    case 'H': if (strlen(headers) + strlen(optarg) + 3 < sizeof headers) { strcat(headers, optarg); strcat(headers, "\r\n"); } break;
    case 't': with_tls = 1; break;
    case 'l': label = optarg; break;
    default: return 1;
  }
#ifdef WITH_TLS
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#else
  if (with_tls) { fprintf(stderr, "This load generator was compiled without TLS.\n"); return 4; }
#endif
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) { files.rlim_cur = files.rlim_max; setrlimit(RLIMIT_NOFILE, &files); }
  size_t body_length = 0;
  char *body = body_file ? read_file(body_file, &body_length) : "";
  make_request(path, key, headers, body, body_length);
  call_number = now() / 1000; // a later run begins beyond what an earlier one has counted to
  poll_fd = epoll_create1(0);
  connection *all = calloc(connections, sizeof *all);
  idle = malloc(sizeof *idle * connections);
  for (int i = 0; i < connections; i++) {
    connection *c = &all[i];
    c->capacity = 65536; c->in = malloc(c->capacity + 1);
    c->request = mark_count ? memcpy(malloc(request_length), request, request_length) : request;
    open_connection(c);
  }
  span.begins = now(); span.measures = span.begins + (u64)(warm_up * 1e9); span.ends = span.measures + (u64)(seconds * 1e9);
  if (rate == 0) for (int i = 0; i < connections; i++) start(&all[i], now());
  else for (int i = connections - 1; i >= 0; i--) idle[idle_count++] = i;

  u64 issued = 0, backlog = 0, drain_until = ~0ull;
  struct epoll_event events[1024];
  for (;;) {
    u64 at = now(), wait = 10000000;
    if (at >= span.ends) draining = 1;
    if (draining) {
      if (drain_until == ~0ull) drain_until = at + DRAIN_NS;
      int busy = 0;
      for (int i = 0; i < connections; i++) busy += all[i].busy;
      if (!busy || at >= drain_until) break;
    } else if (rate > 0) { wait = start_due(all, &issued, &backlog); if (wait > 10000000) wait = 10000000; }
    struct timespec timeout = { 0, (long)wait };
    int n = epoll_pwait2(poll_fd, events, 1024, &timeout, NULL);
    for (int i = 0; i < n; i++) {
      connection *c = events[i].data.ptr;
      if (c->written < request_length && c->busy) write_more(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_more(c, all);
    }
  }
  int lost = 0;
  for (int i = 0; i < connections; i++) lost += all[i].busy;
  sort(&latency); sort(&first_bytes); sort(&chunk_delays); sort(&refused);
  printf("{\"label\":\"%s\",\"c\":%d,\"rate\":%.0f,\"rps\":%.0f,\"ok_rps\":%.1f,\"refused\":{\"n\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f},\"ok\":%llu,"
    "\"total\":%llu,\"lost\":%d,\"non2xx\":%llu,\"errs\":%llu,\"backlog\":%llu,\"lat_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},"
    "\"ttfb_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f},\"chunks\":%zu,\"chunk_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}}\n",
    label, connections, rate, measured / seconds, ok_in_time / seconds, refused.n, percentile(&refused, .5), percentile(&refused, .99), ok,
    answered, lost, not_ok, errors, backlog, percentile(&latency, .5), percentile(&latency, .9), percentile(&latency, .99), percentile(&latency, .999),
    percentile(&latency, 1), percentile(&first_bytes, .5), percentile(&first_bytes, .99), percentile(&first_bytes, .999), chunk_delays.n,
    percentile(&chunk_delays, .5), percentile(&chunk_delays, .99), percentile(&chunk_delays, .999));
}
