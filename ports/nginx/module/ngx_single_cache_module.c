/*
 * Looking after caches (proxy_cache_path and its kin) with "master_process off".
 *
 * nginx has two processes for that: the loader, which a minute after the start enters the files that are there already,
 * and the manager, which removes what is too old or too much. Here the only process does both: it loads before it serves
 * the first request, since a walk over all files later would hold up requests, and runs the managers from a timer. These
 * do a bounded piece of work each time and return when they want to be called again.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

static ngx_event_t       ngx_single_cache_event;
static ngx_connection_t  ngx_single_cache_dumb;


static void
ngx_single_cache_manage(ngx_event_t *ev)
{
    ngx_uint_t    i;
    ngx_msec_t    next, wanted;
    ngx_path_t  **path;

    next = 60 * 60 * 1000;
    path = ngx_cycle->paths.elts;

    for (i = 0; i < ngx_cycle->paths.nelts; i++) {
        if (path[i]->manager) {
            wanted = path[i]->manager(path[i]->data);
            next = ngx_min(next, wanted);
            ngx_time_update();
        }
    }

    ngx_add_timer(ev, ngx_max(next, 1));
}


/* Runs at the start, and, through the module for reloading, when a new configuration has been accepted. */
static ngx_int_t
ngx_single_cache_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t               i, managed;
    ngx_path_t             **path;
    ngx_http_file_cache_t   *cache;

    if (ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;
    }

    managed = 0;
    path = cycle->paths.elts;

    for (i = 0; i < cycle->paths.nelts; i++) {
        managed |= path[i]->manager != NULL;

        if (path[i]->loader) {
            cache = path[i]->data;
            /* Its pauses are there for the sake of other processes. */
            cache->loader_sleep = 0;
            path[i]->loader(cache);
            ngx_time_update();
        }
    }

    ngx_single_cache_event.handler = ngx_single_cache_manage;
    ngx_single_cache_event.data = &ngx_single_cache_dumb;
    ngx_single_cache_event.log = cycle->log;
    ngx_single_cache_dumb.fd = (ngx_socket_t) -1;

    if (ngx_single_cache_event.timer_set) {
        ngx_del_timer(&ngx_single_cache_event);
    }

    if (managed) {
        ngx_add_timer(&ngx_single_cache_event, 0);
    }

    return NGX_OK;
}


static ngx_http_module_t  ngx_single_cache_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */
    NULL, NULL,                            /* main configuration */
    NULL, NULL,                            /* server configuration */
    NULL, NULL                             /* location configuration */
};


/* An HTTP module, since these start after the one that sets up timers. */
ngx_module_t  ngx_single_cache_module = {
    NGX_MODULE_V1,
    &ngx_single_cache_module_ctx,
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_single_cache_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};
