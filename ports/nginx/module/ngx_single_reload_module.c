/*
 * Reloading the configuration (SIGHUP) with "master_process off".
 *
 * nginx's single-process cycle makes a new ngx_cycle_t when it is told to reconfigure, but nothing gives that cycle
 * what a new worker process would get: connections, and accept events for its listening sockets. This module does,
 * through the hooks that every module has; nginx itself stays as it is.
 *
 * Busy connections finish with the configuration they began with; idle ones are closed, as a worker closes them when it
 * shuts down. Their old cycle, its log files and its shared memory live until the last of them has ended.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

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
    /* Its log files and its zones of shared memory. */
    ngx_list_t                files;
    ngx_list_t                zones;
    ngx_uint_t                live;
    ngx_single_reload_old_t  *next;
};

/* The oldest first. */
static ngx_single_reload_old_t  *ngx_single_reload_olds;
static ngx_event_t               ngx_single_reload_event;
static ngx_connection_t          ngx_single_reload_dumb;


/* Writes out and closes the log files of a cycle that nothing uses any more. */
static void
ngx_single_reload_close_files(ngx_single_reload_old_t *old)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_open_file_t  *file;

    for (part = &old->files.part; part; part = part->next) {
        file = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (file[i].flush) {
                file[i].flush(&file[i], ngx_cycle->log);
            }

            if (file[i].fd != NGX_INVALID_FILE && file[i].fd != ngx_stderr) {
                ngx_close_file(file[i].fd);
                file[i].fd = NGX_INVALID_FILE;
            }
        }
    }
}


static ngx_uint_t
ngx_single_reload_has_zone(ngx_list_t *zones, u_char *addr)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;

    for (part = &zones->part; part; part = part->next) {
        for (i = 0; i < part->nelts; i++) {
            if (((ngx_shm_zone_t *) part->elts)[i].shm.addr == addr) {
                return 1;
            }
        }
    }

    return 0;
}


/* Unmaps the zones that no later cycle has taken over. */
static void
ngx_single_reload_free_zones(ngx_single_reload_old_t *old)
{
    ngx_uint_t                i, taken;
    ngx_shm_zone_t           *zone;
    ngx_list_part_t          *part;
    ngx_single_reload_old_t  *later;

    for (part = &old->zones.part; part; part = part->next) {
        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            taken = ngx_single_reload_has_zone((ngx_list_t *) &ngx_cycle->shared_memory, zone[i].shm.addr);

            for (later = old->next; later; later = later->next) {
                taken |= ngx_single_reload_has_zone(&later->zones, zone[i].shm.addr);
            }

            if (!taken) {
                ngx_shm_free(&zone[i].shm);
            }
        }
    }
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


/* Looks which connections of old cycles have ended. Cycles end in their order, since later ones use zones of earlier ones;
 * ngx_clean_old_cycles() frees one when its list of connections has no open one. */
static void
ngx_single_reload_look(ngx_event_t *ev)
{
    ngx_uint_t                i;
    ngx_connection_t         *listed;
    ngx_single_reload_old_t  *old;

    for (old = ngx_single_reload_olds; old; old = old->next) {
        listed = old->cycle->connections;
        old->live = 0;

        for (i = 0; i < old->n; i++) {
            if (listed[i].fd != (ngx_socket_t) -1) {
                if (ngx_single_reload_live(old, i)) {
                    old->live = 1;
                } else {
                    listed[i].fd = (ngx_socket_t) -1;
                }
            }
        }
    }

    while ((old = ngx_single_reload_olds) != NULL && !old->live) {
        ngx_single_reload_close_files(old);
        ngx_single_reload_free_zones(old);
        ngx_single_reload_olds = old->next;
        old->cycle->connections[old->n].fd = (ngx_socket_t) -1;
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


/* The list of connections that the old cycle keeps: a copy of those that are open now, and one that stands for the rest of
 * what it has. */
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
    cycle->connection_n = old->n + 1;

    /* ngx_init_cycle() closes and unmaps what these lists name; whoever uses it has a pointer to the thing itself. */
    old->files = cycle->open_files;
    cycle->open_files.part.nelts = 0;
    cycle->open_files.part.next = NULL;
    old->zones = cycle->shared_memory;
    cycle->shared_memory.part.nelts = 0;
    cycle->shared_memory.part.next = NULL;

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
    ngx_single_reload_old_t  *old, **last;

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
    if (old == NULL) {
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

    for (last = &ngx_single_reload_olds; *last; last = &(*last)->next) { /* void */ }
    *last = old;

    ngx_single_reload_dumb.fd = (ngx_socket_t) -1;
    ngx_single_reload_event.handler = ngx_single_reload_look;
    ngx_single_reload_event.data = &ngx_single_reload_dumb;
    ngx_single_reload_event.log = cycle->log;
    if (!ngx_single_reload_event.timer_set) {
        ngx_add_timer(&ngx_single_reload_event, NGX_SINGLE_RELOAD_LOOK);
    }

    return NGX_OK;
}


#if (NGX_THREADS)

extern ngx_module_t  ngx_thread_pool_module;

/* Threads of the old cycle's pools report to one queue for all pools, which starting the new cycle's would empty: requests
 * whose reading or writing just ended would never hear of it. So such a configuration stays until a restart. */
static char *
ngx_single_reload_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_array_t  *pools;

    if (ngx_process != NGX_PROCESS_SINGLE || ngx_is_init_cycle(cycle->old_cycle)) {
        return NGX_CONF_OK;
    }

    /* All that ngx_thread_pool_conf_t holds. */
    pools = (ngx_array_t *) ngx_get_conf(cycle->old_cycle->conf_ctx, ngx_thread_pool_module);

    if (pools && pools->nelts) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "thread pools cannot be replaced in a single process: restart to load the configuration");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}

#endif


static ngx_core_module_t  ngx_single_reload_module_ctx = {
    ngx_string("single_reload"),
    NULL,                                  /* create configuration */
#if (NGX_THREADS)
    ngx_single_reload_init_conf            /* init configuration */
#else
    NULL
#endif
};


ngx_module_t  ngx_single_reload_module = {
    NGX_MODULE_V1,
    &ngx_single_reload_module_ctx,
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,
    NULL,                                  /* init master */
    ngx_single_reload_init_module,         /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};
