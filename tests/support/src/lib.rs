//! What the tests and the benches share: programs with a time limit, network namespaces, bad weather
//! on the network, programs that make load.

pub mod load;
pub mod netns;
pub mod process;
pub mod redis;
pub mod usage;
pub mod weather;
pub mod wrk;
