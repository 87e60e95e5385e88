//! What the tests and the benches share: programs with a time limit, network namespaces, bad weather
//! on the network, the load that wrk makes.

pub mod netns;
pub mod process;
pub mod usage;
pub mod weather;
pub mod wrk;
