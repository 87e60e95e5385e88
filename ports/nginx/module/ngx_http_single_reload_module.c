/*
 * Reloading the configuration (SIGHUP) with "master_process off".
 *
 * nginx's single-process cycle makes a new ngx_cycle_t when it is told to reconfigure, but nothing gives that cycle
 * what a new worker process would get: connections, and accept events for its listening sockets. This module does,
 * through the hooks that every module has; nginx itself stays as it is.
 *
 * Busy connections finish with the configuration they began with; idle ones are closed, as a worker closes them when it
 * shuts down. Their old cycle, and its log files, live until the last of them has ended.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

/* How often old connections are checked, in ms. */
#define NGX_SINGLE_RELOAD_LOOK  500

typedef struct ngx_single_reload_old_s  ngx_single_reload_old_t;

/* A cycle that was replaced, in its own pool. */
struct ngx_single_reload_old_s {
    ngx_cycle_t              *cycle;
    ngx_uint_t                n;
    /* Connections that were open, and the serial numbers that identify them later. */
    ngx_connection_t        **open;
    ngx_atomic_uint_t        *number;
    /* Descriptors of its log files. */
    ngx_uint_t                files;
    ngx_fd_t                 *fd;
    ngx_single_reload_old_t  *next;
};

static ngx_single_reload_old_t  *ngx_single_reload_olds;
/* The cycle whose files must be shown again once ngx_init_cycle() has closed what it closes. */
static ngx_single_reload_old_t  *ngx_single_reload_hidden;
static ngx_event_t               ngx_single_reload_event;
static ngx_connection_t          ngx_single_reload_dumb;


static ngx_open_file_t *
ngx_single_reload_file(ngx_cycle_t *cycle, ngx_uint_t wanted)
{
    ngx_list_part_t  *part;

    for (part = &cycle->open_files.part; part; part = part->next) {
        if (wanted < part->nelts) {
            return (ngx_open_file_t *) part->elts + wanted;
        }
        wanted -= part->nelts;
    }

    return NULL;
}


/* ngx_init_cycle() closes the old cycle's files. If hidden before, and shown again after, they stay open. */
static ngx_int_t
ngx_single_reload_hide_files(ngx_single_reload_old_t *old)
{
    ngx_uint_t        i, n;
    ngx_open_file_t  *file;

    for (n = 0; ngx_single_reload_file(old->cycle, n); n++) { /* void */ }

    old->fd = ngx_palloc(old->cycle->pool, (n + 1) * sizeof(ngx_fd_t));
    if (old->fd == NULL) {
        return NGX_ERROR;
    }

    old->files = n;

    for (i = 0; i < n; i++) {
        file = ngx_single_reload_file(old->cycle, i);
        old->fd[i] = file->fd;
        if (file->fd != ngx_stderr) {
            file->fd = NGX_INVALID_FILE;
        }
    }

    ngx_single_reload_hidden = old;

    return NGX_OK;
}


static void
ngx_single_reload_show_files(void *data)
{
    ngx_uint_t                i;
    ngx_single_reload_old_t  *old;

    old = ngx_single_reload_hidden;
    ngx_single_reload_hidden = NULL;

    for (i = 0; old && i < old->files; i++) {
        ngx_single_reload_file(old->cycle, i)->fd = old->fd[i];
    }
}


/* The temporary pool of a configuration run is destroyed right after the old cycle's files were closed. */
static ngx_int_t
ngx_single_reload_postconfiguration(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t  *cleanup;

    cleanup = ngx_pool_cleanup_add(cf->temp_pool, 0);
    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    cleanup->handler = ngx_single_reload_show_files;

    return NGX_OK;
}


/* Whether connection i of an old cycle is still open; closes an idle one. */
static ngx_uint_t
ngx_single_reload_live(ngx_single_reload_old_t *old, ngx_uint_t i)
{
    ngx_connection_t  *c;

    c = old->open[i];

    if (c->fd == (ngx_socket_t) -1 || c->number != old->number[i]) {
        return 0;
    }

    if (c->idle) {
        c->close = 1;
        c->read->handler(c->read);
        return c->fd != (ngx_socket_t) -1 && c->number == old->number[i];
    }

    return 1;
}


/* Tells ngx_clean_old_cycles(), through the old cycle's own list, which connections have ended. */
static void
ngx_single_reload_look(ngx_event_t *ev)
{
    ngx_uint_t                 i, live;
    ngx_open_file_t           *file;
    ngx_single_reload_old_t   *old, **link;

    for (link = &ngx_single_reload_olds; (old = *link) != NULL; /* void */) {
        live = 0;

        for (i = 0; i < old->n; i++) {
            if (old->cycle->connections[i].fd == (ngx_socket_t) -1) {
                continue;
            }
            if (ngx_single_reload_live(old, i)) {
                live = 1;
            } else {
                old->cycle->connections[i].fd = (ngx_socket_t) -1;
            }
        }

        if (live) {
            link = &old->next;
            continue;
        }

        *link = old->next;

        for (i = 0; i < old->files; i++) {
            file = ngx_single_reload_file(old->cycle, i);
            if (file->fd != NGX_INVALID_FILE && file->fd != ngx_stderr) {
                ngx_close_file(file->fd);
                file->fd = NGX_INVALID_FILE;
            }
        }
    }

    if (ngx_single_reload_olds) {
        ngx_add_timer(ev, NGX_SINGLE_RELOAD_LOOK);
    }
}


/* Removes the old cycle's accept events, and frees their connections. */
static ngx_int_t
ngx_single_reload_stop_listening(ngx_cycle_t *old)
{
    ngx_uint_t         i;
    ngx_listening_t   *ls;
    ngx_connection_t  *c;

    ls = old->listening.elts;

    for (i = 0; i < old->listening.nelts; i++) {
        c = ls[i].connection;

        if (c == NULL) {
            continue;
        }

        if (c->read->active && ngx_del_event(c->read, NGX_READ_EVENT, 0) == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        ls[i].connection = NULL;
    }

    return NGX_OK;
}


/* The list of connections that the old cycle keeps: a copy of those that are open now. */
static ngx_single_reload_old_t *
ngx_single_reload_remember(ngx_cycle_t *cycle)
{
    ngx_uint_t                i, n;
    ngx_connection_t         *copy;
    ngx_single_reload_old_t  *old;

    n = 0;
    for (i = 0; i < cycle->connection_n; i++) {
        n += cycle->connections[i].fd != (ngx_socket_t) -1;
    }

    old = ngx_pcalloc(cycle->pool, sizeof(ngx_single_reload_old_t));
    copy = ngx_pcalloc(cycle->pool, (n + 1) * sizeof(ngx_connection_t));
    if (old == NULL || copy == NULL) {
        return NULL;
    }

    old->open = ngx_pcalloc(cycle->pool, (n + 1) * sizeof(ngx_connection_t *));
    old->number = ngx_pcalloc(cycle->pool, (n + 1) * sizeof(ngx_atomic_uint_t));
    if (old->open == NULL || old->number == NULL) {
        return NULL;
    }

    for (i = 0; i < cycle->connection_n; i++) {
        if (cycle->connections[i].fd != (ngx_socket_t) -1) {
            old->open[old->n] = &cycle->connections[i];
            old->number[old->n] = cycle->connections[i].number;
            copy[old->n++].fd = cycle->connections[i].fd;
        }
    }

    old->cycle = cycle;
    cycle->connections = copy;
    cycle->connection_n = old->n;

    return old;
}


static ngx_int_t
ngx_single_reload_listen(ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_listening_t   *ls;
    ngx_connection_t  *c;

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
#if (NGX_HAVE_REUSEPORT)
        if (ls[i].reuseport && ls[i].worker != ngx_worker) {
            continue;
        }
#endif

        c = ngx_get_connection(ls[i].fd, cycle->log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->type = ls[i].type;
        c->log = &ls[i].log;
        c->listening = &ls[i];
        ls[i].connection = c;

        c->read->log = c->log;
        c->read->accept = 1;
#if (NGX_HAVE_DEFERRED_ACCEPT)
        c->read->deferred_accept = ls[i].deferred_accept;
#endif
        c->read->handler = (c->type == SOCK_STREAM) ? ngx_event_accept : ngx_event_recvmsg;

        if (ngx_add_event(c->read, NGX_READ_EVENT, 0) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Runs when a new configuration has been accepted and its sockets are open. A failure here ends the program, as
 * everywhere in nginx after that point. */
static ngx_int_t
ngx_single_reload_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_cycle_t              *before, new;
    ngx_single_reload_old_t  *old;

    before = cycle->old_cycle;

    if (ngx_process != NGX_PROCESS_SINGLE || ngx_test_config || before == NULL || ngx_is_init_cycle(before)
        || before->connections == NULL)
    {
        return NGX_OK;
    }

    if (ngx_single_reload_stop_listening(before) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_close_idle_connections(before);

    if (cycle->connection_n != before->connection_n) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "\"worker_connections\" stays %ui until a restart", before->connection_n);
    }

    /* Pointers into the arrays of connections are everywhere: the new cycle takes the same arrays over. */
    new = *before;
    old = ngx_single_reload_remember(before);
    if (old == NULL || ngx_single_reload_hide_files(old) != NGX_OK) {
        return NGX_ERROR;
    }

    cycle->connection_n = new.connection_n;
    cycle->connections = new.connections;
    cycle->read_events = new.read_events;
    cycle->write_events = new.write_events;
    cycle->free_connections = new.free_connections;
    cycle->free_connection_n = new.free_connection_n;
    cycle->reusable_connections_n = new.reusable_connections_n;

    if (!ngx_queue_empty(&before->reusable_connections_queue)) {
        ngx_queue_add(&cycle->reusable_connections_queue, &before->reusable_connections_queue);
        ngx_queue_init(&before->reusable_connections_queue);
    }

    ngx_cycle = cycle;

    if (ngx_single_reload_listen(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; cycle->modules[i]; i++) {
        if (cycle->modules[i]->init_process && cycle->modules[i] != &ngx_event_core_module
            && cycle->modules[i]->init_process(cycle) == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    old->next = ngx_single_reload_olds;
    ngx_single_reload_olds = old;

    ngx_single_reload_dumb.fd = (ngx_socket_t) -1;
    ngx_single_reload_event.handler = ngx_single_reload_look;
    ngx_single_reload_event.data = &ngx_single_reload_dumb;
    ngx_single_reload_event.log = cycle->log;
    if (!ngx_single_reload_event.timer_set) {
        ngx_add_timer(&ngx_single_reload_event, NGX_SINGLE_RELOAD_LOOK);
    }

    return NGX_OK;
}


static ngx_http_module_t  ngx_http_single_reload_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_single_reload_postconfiguration,   /* postconfiguration */
    NULL, NULL,                            /* main configuration */
    NULL, NULL,                            /* server configuration */
    NULL, NULL                             /* location configuration */
};


ngx_module_t  ngx_http_single_reload_module = {
    NGX_MODULE_V1,
    &ngx_http_single_reload_module_ctx,
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,
    NULL,                                  /* init master */
    ngx_single_reload_init_module,         /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};
