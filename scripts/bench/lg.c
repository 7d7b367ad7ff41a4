// Load generator. lg -p PORT [-h host] [-u /path] [-c conns] [-r rate] [-d secs] [-w warmup secs] [-b bodyfile] [-H 'K: V']... [-l label] [-n maxreq-per-conn]
// rate 0 = closed loop (saturation); rate>0 = open loop, latency counted from the scheduled send time (no coordinated omission).
// At the end no call is begun any more and those under way are waited for (5 s): "total" are all calls answered, warm-up included, "lost" those that never were.
// "refused": answers other than 2xx within the time, and how long they took; "ok_rps": those with 2xx that came within the time, a second.
// Prints one JSON line: rps, latency, ttfb (first byte of response), chunk (one-way delay of SSE chunks stamped "t":ns)
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
typedef unsigned long long u64;
static u64 now(){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1000000000ull+t.tv_nsec;}
typedef struct { unsigned *v; size_t n,cap; } vec; // units: 100ns
static void push(vec*v,u64 ns){ if(v->n==v->cap){v->cap=v->cap?v->cap*2:1<<16;v->v=realloc(v->v,v->cap*4);} v->v[v->n++]=(unsigned)(ns/100); }
static int cmp(const void*a,const void*b){unsigned x=*(unsigned*)a,y=*(unsigned*)b;return x<y?-1:x>y;}
static double pct(vec*v,double p){ if(!v->n)return 0; size_t i=(size_t)(p*v->n); if(i>=v->n)i=v->n-1; return v->v[i]/10.0; }
typedef struct conn{ int fd; int busy; u64 sched,sent; char*buf; size_t len,cap,scan; size_t hdr; long need; int chunked; size_t woff; int firstb; int connected;} conn;
static int port=0,C=50; static double rate=0,dur=5,warm=1; static char*path="/v1/chat/completions"; static char*req; static size_t reqlen; static int ep;
static vec lat,ttfb,chk,ref; static u64 errs=0,n2xx=0,nother=0,reconn=0; static int lasterr=0;
static void openc(conn*c){
  c->fd=socket(AF_INET,SOCK_STREAM,0); int one=1;
  struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
  if(connect(c->fd,(void*)&a,sizeof a)){perror("connect");exit(2);} setsockopt(c->fd,IPPROTO_TCP,TCP_NODELAY,&one,4);
 
  struct epoll_event e={.events=EPOLLIN,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_ADD,c->fd,&e);
}
static void wmore(conn*c){
  while(c->woff<reqlen){ ssize_t r=send(c->fd,req+c->woff,reqlen-c->woff,MSG_NOSIGNAL|MSG_DONTWAIT); if(r<0){ if(errno==EAGAIN){ struct epoll_event e={.events=EPOLLIN|EPOLLOUT,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e); return;} return;} c->woff+=r; if(c->woff==reqlen){ struct epoll_event e={.events=EPOLLIN,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e);} }
}
static void wstart(conn*c){ c->woff=0; ssize_t r=send(c->fd,req,reqlen,MSG_NOSIGNAL|MSG_DONTWAIT); if(r>0)c->woff=r; if(c->woff<reqlen) {struct epoll_event e={.events=EPOLLIN|EPOLLOUT,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e);} }
static void start(conn*c,u64 sched){ c->busy=1;c->sched=sched;c->sent=now();c->len=0;c->scan=0;c->hdr=0;c->need=-1;c->chunked=0;c->firstb=0; wstart(c); }
int main(int ac,char**av){
  char*bf=NULL; char hdrs[8192]="";char*label=""; char*key="ef-0123456789abcdef0123456789abcdef"; int o;
  while((o=getopt(ac,av,"p:u:c:r:d:w:b:H:l:k:"))>0) switch(o){case 'p':port=atoi(optarg);break;case 'u':path=optarg;break;case 'c':C=atoi(optarg);break;case 'r':rate=atof(optarg);break;case 'd':dur=atof(optarg);break;case 'w':warm=atof(optarg);break;case 'b':bf=optarg;break;case 'H':strcat(hdrs,optarg);strcat(hdrs,"\r\n");break;case 'l':label=optarg;break;case 'k':key=optarg;break;}
  char*body="";size_t bl=0; if(bf){FILE*f=fopen(bf,"r");body=malloc(8<<20);bl=fread(body,1,8<<20,f);fclose(f);}
  req=malloc(bl+16384); reqlen=sprintf(req,"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: application/json\r\nUser-Agent: OpenAI/JS 4.77.0\r\nx-stainless-lang: js\r\nx-stainless-package-version: 4.77.0\r\nx-stainless-os: Linux\r\nx-stainless-arch: x64\r\nx-stainless-runtime: node\r\nx-stainless-runtime-version: v22.0.0\r\nAuthorization: Bearer %s\r\n%sContent-Length: %zu\r\n\r\n",path,port,key,hdrs,bl); memcpy(req+reqlen,body,bl);reqlen+=bl;
  ep=epoll_create1(0); conn*cs=calloc(C,sizeof(conn)); for(int i=0;i<C;i++){cs[i].cap=65536;cs[i].buf=malloc(cs[i].cap+1);openc(&cs[i]);}
  u64 t0=now(),tm=t0+(u64)(warm*1e9),te=tm+(u64)(dur*1e9); u64 issued=0; u64 maxbacklog=0;
  struct epoll_event ev[1024]; int *freel=malloc(sizeof(int)*C); int nf=0;
  if(rate==0) for(int i=0;i<C;i++) start(&cs[i],now()); else for(int i=C-1;i>=0;i--) freel[nf++]=i;
  u64 donem=0,total=0,okwin=0; int draining=0;
  for(;;){
    u64 t=now(); int to=10; if(t>=te){ draining=1; int busy=0; for(int i=0;i<C;i++) busy+=cs[i].busy; if(!busy||t>=te+5000000000ull) break; }
    if(rate>0&&!draining){ u64 target=(u64)((t-t0)/1e9*rate); if(target-issued>maxbacklog)maxbacklog=target-issued;
      while(issued<target&&nf){ u64 sch=t0+(u64)((issued+1)/rate*1e9); start(&cs[freel[--nf]],sch); issued++; }
      if(issued<target) to=1; else { u64 nx=t0+(u64)((issued+1)/rate*1e9); u64 t2=now(); if(nx>t2){ u64 g=nx-t2; if(g>=2000000)to=g/1000000; else to=0; if(!to&&g>50000){} } else to=0; } }
    int n;
    if(rate>0&&to==0&&!draining){ struct timespec ts={0,20000}; u64 nx=t0+(u64)((issued+1)/rate*1e9); u64 t2=now(); if(nx>t2){u64 g=nx-t2; ts.tv_nsec=g>1000000?1000000:g;} else ts.tv_nsec=0; n=epoll_pwait2(ep,ev,1024,&ts,NULL); }
    else n=epoll_wait(ep,ev,1024,to);
    for(int i=0;i<n;i++){ conn*c=ev[i].data.ptr;
      if(ev[i].events&EPOLLOUT) wmore(c);
      if(!(ev[i].events&(EPOLLIN|EPOLLHUP|EPOLLERR))) continue;
      if(c->cap-c->len<16384){c->cap*=2;c->buf=realloc(c->buf,c->cap+1);} 
      ssize_t r=recv(c->fd,c->buf+c->len,c->cap-c->len,MSG_DONTWAIT); u64 tn=now();
      if(r<=0){ if(r<0&&errno==EAGAIN)continue; if(c->busy){errs++;lasterr=errno;} reconn++; close(c->fd); int wasbusy=c->busy; openc(c); if(reconn>100000){fprintf(stderr,"too many reconnects\n");exit(3);} if(wasbusy){ c->busy=0; start(c,c->sched); } continue; }
      if(!c->busy) continue;
      if(!c->firstb){c->firstb=1; if(c->sched>=tm)push(&ttfb,tn-(rate>0?c->sched:c->sent));}
      c->len+=r; c->buf[c->len]=0;
      if(!c->hdr){ char*h=memmem(c->buf,c->len,"\r\n\r\n",4); if(!h) continue; c->hdr=h-c->buf+4; h[2]=0; char*p=strcasestr(c->buf,"\r\ncontent-length:"); if(p)c->need=atol(p+17); else if(strcasestr(c->buf,"transfer-encoding: chunked")) c->chunked=1; h[2]='\r'; c->scan=c->hdr; }
      if(c->chunked){ for(;;){ char*p=memmem(c->buf+c->scan,c->len-c->scan,"\"t\":",4); if(!p) break; char*e=memchr(p,'}',c->buf+c->len-p); if(!e)break; u64 ts=strtoull(p+4,0,10); if(tn>=tm&&tn>ts)push(&chk,tn-ts); c->scan=e-c->buf; } }
      int fin=0; if(c->need>=0){ if((long)(c->len-c->hdr)>=c->need)fin=1; } else if(c->chunked){ if(c->len-c->hdr>=5&&!memcmp(c->buf+c->len-5,"0\r\n\r\n",5))fin=1; }
      if(fin){ int st=atoi(c->buf+9); total++; if(st>=200&&st<300){n2xx++; if(tn>=tm&&tn<te)okwin++;} else { if(!nother)fprintf(stderr,"%.400s\n",c->buf); nother++; } if(!draining&&(c->sched>=tm||(rate==0&&tn>=tm))){ donem++; push(&lat,tn-(rate>0?c->sched:c->sent)); if(st<200||st>=300) push(&ref,tn-(rate>0?c->sched:c->sent)); }
        c->busy=0; if(rate==0&&!draining) start(c,tn); else freel[nf++]=c-cs; }
    }
  }
  int inflight=0; for(int i=0;i<C;i++) inflight+=cs[i].busy;
  qsort(lat.v,lat.n,4,cmp);qsort(ttfb.v,ttfb.n,4,cmp);qsort(chk.v,chk.n,4,cmp);qsort(ref.v,ref.n,4,cmp);
  printf("{\"label\":\"%s\",\"c\":%d,\"rate\":%.0f,\"rps\":%.0f,\"ok_rps\":%.1f,\"refused\":{\"n\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f},\"ok\":%llu,\"total\":%llu,\"lost\":%d,\"non2xx\":%llu,\"errs\":%llu,\"backlog\":%llu,\"lat_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},\"ttfb_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f},\"chunks\":%zu,\"chunk_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}}\n",label,C,rate,donem/dur,okwin/dur,ref.n,pct(&ref,.5),pct(&ref,.99),n2xx,total,inflight,nother,errs,maxbacklog,pct(&lat,.5),pct(&lat,.9),pct(&lat,.99),pct(&lat,.999),pct(&lat,1),pct(&ttfb,.5),pct(&ttfb,.99),pct(&ttfb,.999),chk.n,pct(&chk,.5),pct(&chk,.99),pct(&chk,.999));
}
