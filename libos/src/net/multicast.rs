//! Groups that sockets can join, and what routers are told of that.

crate::component!("multicast", optional, wanted by [setsockopt], starts start);

extern "C" fn start() {
    libos_net::multicast::provide();
}
