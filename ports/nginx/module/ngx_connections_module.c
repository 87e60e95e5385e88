/*
 * "connections_by_memory" in "events": as many connections as the machine has memory for, and the process descriptors.
 *
 * nginx makes its table of connections when it starts, some 430 bytes for each. A table for ten thousand would not fit
 * into the smallest machines, and one that fits there would not do in larger ones, so that no number could be shipped.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

/* Of memory for each connection: the table takes a twentieth. */
#define NGX_CONNECTIONS_SHARE  8192
#define NGX_CONNECTIONS_LEAST  512
#define NGX_CONNECTIONS_MOST   65536


static char *
ngx_connections_by_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_uint_t         n;
    struct rlimit      descriptors;
    struct sysinfo     info;
    ngx_event_conf_t  *ecf;

    ecf = ((void **) *(void **) cf->ctx)[ngx_event_core_module.ctx_index];

    if (ecf->connections != NGX_CONF_UNSET_UINT) {
        return "is not needed where \"worker_connections\" is set";
    }

    if (sysinfo(&info) == -1 || getrlimit(RLIMIT_NOFILE, &descriptors) == -1) {
        return "cannot find out how much memory there is";
    }

    n = (uint64_t) info.totalram * info.mem_unit / NGX_CONNECTIONS_SHARE;
    n = ngx_min(ngx_max(n, NGX_CONNECTIONS_LEAST), NGX_CONNECTIONS_MOST);
    ecf->connections = ngx_min(n, descriptors.rlim_cur);
    cf->cycle->connection_n = ecf->connections;

    return NGX_CONF_OK;
}


static ngx_command_t  ngx_connections_commands[] = {
    { ngx_string("connections_by_memory"),
      NGX_EVENT_CONF|NGX_CONF_NOARGS,
      ngx_connections_by_memory,
      0,
      0,
      NULL },
    ngx_null_command
};


static ngx_str_t  ngx_connections_name = ngx_string("connections");

static ngx_event_module_t  ngx_connections_module_ctx = {
    &ngx_connections_name,
    NULL,                                  /* create configuration */
    NULL,                                  /* init configuration */
    { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }
};


ngx_module_t  ngx_connections_module = {
    NGX_MODULE_V1,
    &ngx_connections_module_ctx,
    ngx_connections_commands,
    NGX_EVENT_MODULE,
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};
